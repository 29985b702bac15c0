"""Engine helpers: product's rules, searches and permuted markets."""
import sys,pathlib; sys.path.insert(0,str(pathlib.Path(__file__).resolve().parents[2]))
import numpy as np, time, warnings
from dataclasses import replace
import tunesmith as ts
from tunesmith.compute.search.search import Search, Market, run_whole
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.decision.statistics.permuted_markets import draw_order, permuted
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.criteria import Bound
from tunesmith.domain.trading import Costs
from benchmarks import made_markets as mm
EX=Execution(Costs(fee_rate=.001),'next_open','long',10_000.0,'tunesmith')
EXB=Execution(Costs(fee_rate=.001),'next_open','both',10_000.0,'tunesmith')
FLOOR=[Bound('min_trades','n_trades',True,10.0)] if 0 else None
from tunesmith.domain.criteria import bounds, search_floor, DEFAULT_CRITERIA
BOUNDS=bounds(search_floor(DEFAULT_CRITERIA))
span=mm._span
BOX={'averages':(mm.FAMILIES['moving averages'].rule,{'fast':span(2,62,1),'slow':span(10,250,2)}),
 'bands':(mm.FAMILIES['Bollinger'].rule,{'period':span(5,100,1),'width':span(.5,3.,.1),'stop':span(.05,.2,.05)}),
 'strength':(mm.FAMILIES['RSI'].rule,{'period':span(2,26,1),'oversold':span(15,45,3),'exit_level':span(46,70,2),'stop':span(.1,.2,.1)})}
def plan(ranges,method,n=1000,seed=0,target='sharpe',warm=(),**o):
    from tunesmith.domain.search.methods import MethodOptions
    return SearchPlan(target=target,method=method,n_trials=n,seed=seed,ranges=ranges,bounds=BOUNDS,options=MethodOptions(**o),warm=list(warm))
def market(bars,ex=EX,first=0): return Market('M',bars,ex,first)
def ts_of(rule,bars,P,ex=EX):
    m=evaluate_points(rule,bars,P,ex,metrics=('timing_sharpe','sharpe','n_trades')); ok=(m['n_trades']>=10)
    t=np.where(ok&np.isfinite(m['timing_sharpe']),m['timing_sharpe'],-9.)*np.sqrt(len(bars)/bars.bars_per_year)
    return np.where(ok,t,-9.),np.where(ok&np.isfinite(m['sharpe']),m['sharpe'],-99.)
def search_t(rule,bars,pl,ex=EX):
    s=Search(rule,pl); out=run_whole(s,[market(bars,ex)]); P=out.found.points; t,sh=ts_of(rule,bars,P,ex); return P,t,sh
def grid_points(rule,ranges):
    s=Search(rule,plan(ranges,'grid')); return s.sampler.ask(0,s.sampler.n_trials)
from tunesmith.compute.measures.block_sums import evaluate_blocks
def t_fast(rule,bars,P,ex=EX):
    """t of timing returns and eligibility (>= 10 trades), sharpe: by block sums with one block and account metrics"""
    m=evaluate_points(rule,bars,P,ex,metrics=('sharpe','n_trades')); b=evaluate_blocks(rule,bars,P,ex,n_blocks=1)
    s=b.timing[:,0]; q=b.timing_squares[:,0]; n=b.length; v=(q-s*s/n)/(n-1)
    with np.errstate(all='ignore'): t=s/n/np.sqrt(v)*np.sqrt(n)
    ok=(m['n_trades']>=10)&np.isfinite(t)
    return np.where(ok,t,-9.),np.where(ok&np.isfinite(m['sharpe']),m['sharpe'],-99.)
