"""G2. as G1, with one-level transport (tr1): t'_x[b] = t_x[b] + beta_x (best_asked[b] - t_w[b]), best_asked = max of raw values of all earlier trials."""
import numpy as np, sys, time
from g1 import Field,p_of
def chain(ell,nug,sizes,halves,reps,B=199,seed=20261302):
    rng=np.random.default_rng([seed,int(ell*1000),int(nug*100),len(sizes),sizes[0],sum(sizes)]); names=('last','asked','follow','tr1','follow pooled'); R={k:[] for k in names}; q={k:[] for k in names[1:]}
    for r in range(reps):
        f=Field(ell,nug,B,rng); P=rng.random((sizes[0],2)); Z=f(P); j=Z[:,0].argmax(); x=P[j]; w=Z[j]; win=P[Z.argmax(0)]; fol=Z.max(0); last=Z; asked=Z.max(0); tr=asked.copy(); x0=x; win0=win.copy(); pool=fol.copy()
        for n,h in zip(sizes[1:],halves):
            off=(rng.random((n,2))*2-1)*h; Pf=np.clip(x+off,0,1); Z=f(Pf); last=Z
            c=w[1:]-w[1:].mean(); beta=np.clip((Z[:,1:]@c)/(c@c),0,1.5); T=Z.copy(); T[:,1:]+=beta[:,None]*(asked[1:]-w[1:])[None]; tr=np.maximum(tr,T.max(0)); asked=np.maximum(asked,Z.max(0))
            Pr=np.clip(win[:,None,:]+off[None],0,1); Zr=f.per(Pr); Zr[0]=Z[:,0]; m=Zr.max(1); up=m>fol; win=np.where(up[:,None],Pr[np.arange(B+1),Zr.argmax(1)],win); fol=np.maximum(fol,m)
            if nug==0: Zp=f.per(np.clip(win0[:,None,:]+(Pf-x0)[None],0,1)); Zp[0]=Z[:,0]; pool=np.maximum(pool,Zp.max(1))
            j=Z[:,0].argmax()
            if Z[j,0]>w[0]: x=Pf[j]; w=Z[j]
        t=w[0]; R['last'].append(p_of(last[:,0].max(),last[:,1:].max(0))<=.05)
        for k,v in (('asked',asked),('follow',fol),('tr1',tr),('follow pooled',pool)): R[k].append(p_of(t,v[1:])<=.05); q[k].append(np.quantile(v[1:],[.95,.99]))
    return {k:round(float(np.mean(v)),3) for k,v in R.items()},'q95/q99:',{k:np.round(np.mean(v,0),2).tolist() for k,v in q.items()}
if __name__=='__main__':
    reps=int(sys.argv[1]); t0=time.time()
    for ell,nug in ((.3,0),(.1,0),(.1,.1),(.05,0)):
        for sizes,halves,name in (((100,100,100),(.1,.02),'narrowing'),((300,9),(.01,),'+-1 step'),((300,1,1,1,1,1,1,1,1,1,1),(.03,)*10,'ten single points by hand'),((20,)*12,(.3,.2,.15,.1,.08,.06,.05,.04,.03,.02,.02),'zoom, batches of 20')):
            print(ell,nug,name,*chain(ell,nug,sizes,halves,reps),f'{time.time()-t0:.0f}s',flush=True)
