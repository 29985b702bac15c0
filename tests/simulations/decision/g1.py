"""G1. In-sample null of a lineage on Gaussian fields: ranges as asked / follow / transport.
Transport: trial x of a later search on draw b counts t_x[b] + beta_x (best[b] - t_w[b]); w = the best trial so far on the real market, best[b] = b's
best so far, beta_x = regression of t_x on t_w over the draws (clipped to [0, 1.5]).   usage: g1.py reps"""
import numpy as np, sys, time
SEED=20261301
def feats(P,om): a=P@om.T; return np.concatenate([np.cos(a),np.sin(a)],-1)/np.sqrt(len(om))
def p_of(t,m): return (1+(m>=t-1e-12).sum())/(len(m)+1)
class Lineage:
    """Z columns: 0 real, 1..B draws"""
    def __init__(s,B): s.B=B; s.asked=np.full(B+1,-np.inf); s.tr=np.full(B+1,-np.inf); s.w=None; s.treal=-np.inf
    def add(s,Z,transport=True):
        new=Z.max(1-1); s.asked=np.maximum(s.asked,new)
        if s.w is None or not transport: v=Z.max(0)
        else:
            w=s.w[1:]-s.w[1:].mean(); beta=np.clip((Z[:,1:]@w)/(w@w),0,1.5)
            T=Z.copy(); T[:,1:]+=beta[:,None]*(s.tr[1:]-s.w[1:])[None]; v=T.max(0)
        s.tr=np.maximum(s.tr,v); j=Z[:,0].argmax()
        if Z[j,0]>s.treal: s.treal=Z[j,0]; s.w=Z[j].copy()
        return j
class Field:
    def __init__(s,ell,nug,B,rng,d=2): s.om=rng.standard_normal((64,d))/ell; s.W=rng.standard_normal((128,B+1)); s.a=np.sqrt(1-nug); s.n=np.sqrt(nug); s.rng=rng; s.B=B
    def __call__(s,P): return s.a*feats(P,s.om)@s.W+(s.n*s.rng.standard_normal((len(P),s.B+1)) if s.n else 0)
    def per(s,P):   # P (B+1,n,d): own points for every market
        F=feats(P,s.om); return s.a*np.einsum('bnf,fb->bn',F,s.W)+s.n*s.rng.standard_normal(P.shape[:2])
def chain(ell,nug,sizes,halves,reps,B=199,kind='random',seed=SEED):
    rng=np.random.default_rng([seed,int(ell*1000),int(nug*100),len(sizes),sizes[0],sum(sizes)]); R={k:[] for k in('last','asked','follow','transport')}; q={k:[] for k in('asked','follow','transport')}
    for r in range(reps):
        f=Field(ell,nug,B,rng); L=Lineage(B); P=rng.random((sizes[0],2)); Z=f(P); j=L.add(Z); x=P[j]; win=P[Z.argmax(0)]; fol=Z.max(0); last=Z
        for n,h in zip(sizes[1:],halves):
            off=(rng.random((n,2))*2-1)*h; Pf=np.clip(x+off,0,1); Z=f(Pf); t0=L.treal; j=L.add(Z); last=Z
            Pr=np.clip(win[:,None,:]+off[None],0,1); Zr=f.per(Pr); Zr[0]=Z[:,0]; m=Zr.max(1); up=m>fol; win=np.where(up[:,None],Pr[np.arange(B+1),Zr.argmax(1)],win); fol=np.maximum(fol,m)
            if L.treal>t0: x=Pf[j]
        t=L.treal
        R['last'].append(p_of(last[:,0].max(),last[:,1:].max(0))<=.05); R['asked'].append(p_of(t,L.asked[1:])<=.05); R['follow'].append(p_of(t,fol[1:])<=.05); R['transport'].append(p_of(t,L.tr[1:])<=.05)
        for k,v in (('asked',L.asked),('follow',fol),('transport',L.tr)): q[k].append(np.quantile(v[1:],[.95,.99]))
    return {k:round(float(np.mean(v)),3) for k,v in R.items()},'q95/q99:',{k:np.round(np.mean(v,0),2).tolist() for k,v in q.items()}
if __name__=='__main__':
    reps=int(sys.argv[1]); t0=time.time()
    for ell,nug in ((.3,0),(.1,0),(.1,.1),(.05,0),(.05,.1)):
        for sizes,halves,name in (((100,100,100),(.1,.02),'narrowing'),((1000,100,100),(.1,.02),'narrowing from 1000'),((300,1),(0.,),'one point again'),((300,9),(.01,),'+-1 step'),((300,1,1,1,1,1,1,1,1,1,1),(.03,)*10,'ten single points by hand'),((20,)*12,(.3,.2,.15,.1,.08,.06,.05,.04,.03,.02,.02),'zoom, batches of 20')):
            print(ell,nug,name,*chain(ell,nug,sizes,halves,reps),f'{time.time()-t0:.0f}s',flush=True)
