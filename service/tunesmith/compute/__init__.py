"""Pure computation: arrays in, values out. No asyncio, no clock, no wire types, no paths of requests.

Rooms in import order: kernels, indicators, language, codegen, simulation, rules, strategies, measures, engines,
search, analysis, decision."""
