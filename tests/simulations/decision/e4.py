"""E4. A search on a related market, its winner asked here as one point (a search of one point; today's and per-lineage nulls see one point only).
Pairs of GARCH-free Gaussian walks with correlated bars; text 'averages' (1,664 points). One-point p = rank among the same point's t on the other, independent markets of the run.
Counted instead: the other market's points run on the asked market (dominating).   usage: e4.py n"""
from eng import *
from e3 import T1,G,OK,app
from scipy.stats import norm
n=int(sys.argv[1]); rng=np.random.default_rng(20261314); P=G[OK]; t0=time.time()
for rho in (0.,.3,.5,.7,.8,.9,.98):
    K=[];TB=[];TA=[]
    for r in range(n):
        z=rng.standard_normal(1400); e=.02*(np.sqrt(rho)*z+np.sqrt(1-rho)*rng.standard_normal(1400)); f=.02*(np.sqrt(rho)*z+np.sqrt(1-rho)*rng.standard_normal(1400))
        A=mm.moved(rng,e,.02); B=mm.moved(rng,f,.02); ta,_=t_fast(T1,A,P,EX); tb,_=t_fast(T1,B,P,EX); K.append(ta.argmax()); TB.append(tb); TA.append(ta)
    TB=np.array(TB); TA=np.array(TA); N=np.vstack([TA,TB]); ps=np.array([(1+sum(N[[i for i in range(2*n) if i not in (r,n+r)],K[r]]>=TB[r,K[r]]-1e-12))/(2*n-1) for r in range(n)]); rt=np.corrcoef((TA[:,::40]-TA[:,::40].mean(0)).ravel(),(TB[:,::40]-TB[:,::40].mean(0)).ravel())[0,1]; print(f'returns correlated {rho}, t correlated {rt:.2f}: one point p <= .05 in {np.mean(ps<=.05):.3f}, approved {100*np.mean([app(max(p,.001),.0035) for p in ps]):.2f} % (nominal .35)',f'{time.time()-t0:.0f}s',flush=True)
