"""E6. Climbing by rule texts with the engine: 300 averages, then 20 texts by hand, each the best so far with one thing changed (a trend filter, two RSI filters, an average),
kept if better. Nulls: last, as asked, linked (nearest earlier trial by correlation over 99 draws, record holder = best so far).  usage: e6.py n seed"""
from eng import *
from tunesmith.compute.rules.strategy import Strategy
from e3 import pv,app,KINDS,nominal,ticks,level
TX=Strategy.parse("""
fast = Int(10, 2, 100)
slow = Int(50, 5, 400)
trend = Int(1, 1, 400)
lo = Int(0, 0, 100)
hi = Int(100, 0, 100)
require(fast < slow)
quick = sma(close, fast)
steady = sma(close, slow)
strength = rsi(close, 14)
enter_long(crossed_above(quick, steady) and close >= sma(close, trend) and strength >= lo and strength <= hi)
exit_long(crossed_below(quick, steady))
""",id='x')
B=99
def propose(x,rng):
    x=x.copy(); k=rng.integers(5)
    if k==0: x[0]=np.clip(x[0]+rng.choice([-4,-3,-2,-1,1,2,3,4]),2,61)
    if k==1: x[1]=np.clip(x[1]+rng.choice([-16,-8,-4,4,8,16]),10,250)
    if k==2: x[2]=rng.integers(1,200)
    if k==3: x[3]=rng.integers(0,55)
    if k==4: x[4]=rng.integers(50,101)
    if x[0]>=x[1]: x[1]=x[0]+4
    return x
def main(n,seed):
    R={}; t0=time.time(); q=[]
    for r in range(n):
        rng=np.random.default_rng([seed,r]); bars=mm.NOISE[KINDS[r%6]](rng,1400); f=rng.integers(2,62,300); P=np.c_[f,np.maximum(rng.integers(10,250,300),f+4),np.full(300,1),np.zeros(300),np.full(300,100)].astype(float)
        D=[permuted(bars,draw_order(1400,seed*100003+r,b)) for b in range(B)]; t,_=t_fast(TX,bars,P); k=t.argmax(); w,tw=P[k].copy(),t[k]; Q=[];acc=[]
        for s in range(20):
            x=propose(w,rng); tx=t_fast(TX,bars,x[None])[0][0]; Q.append(x); acc.append((tx,tx>tw))
            if tx>tw: w,tw=x,tx
        A=np.vstack([P,np.array(Q)]); H=np.stack([np.r_[t,[a for a,_ in acc]]]+[t_fast(TX,d,A)[0] for d in D],1); H=np.maximum(H,-6)
        asked=H.max(0); best=H[:300].max(0); I=H[:300].copy(); I[k]=best; kw=k
        for s in range(20):
            h=H[300+s]; Hh=H[:300+s,1:]-H[:300+s,1:].mean(1,keepdims=True); a=h[1:]-h[1:].mean(); den=np.sqrt((Hh**2).sum(1)*(a@a)); cor=np.where(den>1e-9,(Hh@a)/np.maximum(den,1e-9),0); z=int(cor.argmax()); v=h.copy()
            if cor[z]>=.35: v[1:]+=np.clip((Hh[z]@a)/(Hh[z]@Hh[z]),0,1.5)*(I[z]-H[z])[1:]
            I=np.vstack([I,v]); best=np.maximum(best,v)
            if acc[s][1]: kw=300+s
            I[kw]=best; I[kw,0]=H[kw,0]
        b0=H[:300].max(0); a=level(ticks([b0[1:],best[1:]]))
        for nm,p,l in (('last',pv(tw,H[kw,1:]),.0035),('asked',pv(tw,asked[1:]),.0035),('linked',pv(tw,best[1:]),a)): R.setdefault(nm,[]).append((p,app(p,l)))
        q.append([np.quantile(x[1:],.95) for x in (b0,asked,best)]+[tw-t[k]])
        if (r+1)%20==0: print(r+1,{k:f'{np.mean([p<=.05 for p,_ in v]):.3f} / {np.mean([p<=.0101 for p,_ in v]):.3f} / {.35*np.mean([y for _,y in v])/nominal(B,.0035):.2f} %' for k,v in R.items()},'q95 search alone, asked, linked; real gain',np.round(np.mean(q,0),2),f'{time.time()-t0:.0f}s',flush=True)
main(int(sys.argv[1]),int(sys.argv[2]))
