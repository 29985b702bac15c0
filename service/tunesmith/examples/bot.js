// A bot in Node, with the package `zeromq` (version 6): node bot.js [REQUESTS [EVENTS [SYMBOL]]].
// It misses nothing and repeats nothing.
"use strict";
const { Request, Subscriber } = require("zeromq");

async function main(requests = "tcp://127.0.0.1:5555", events = "tcp://127.0.0.1:5556", symbol = "BTC/USDT") {
  const asking = new Request();
  const hearing = new Subscriber();
  asking.connect(requests);
  hearing.connect(events);
  hearing.subscribe(`pkg/${symbol}/`);
  const last = new Map(); // the newest `seq` by topic
  for await (const [topicFrame, frame] of hearing) {
    const topic = topicFrame.toString();
    let news = [JSON.parse(frame.toString())];
    const seen = last.get(topic);
    if (seen !== undefined && news[0].prev > seen) { // some were lost on the way: ask for them
      const data = { topics: [topic], after: seen };
      await asking.send(JSON.stringify({ v: 1, type: "events.replay", id: `after-${seen}`, data }));
      const [body] = await asking.receive();
      news = JSON.parse(body.toString()).data.events.map((record) => record.event);
    }
    for (const event of news) {
      if (event.seq > (last.get(topic) ?? 0)) {
        last.set(topic, event.seq);
        console.log(event.type, JSON.stringify(event.data.params ?? event.data));
      }
    }
  }
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
