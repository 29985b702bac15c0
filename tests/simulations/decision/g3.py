"""G3. Gaussian: (a) clamped window against clipped trials; (b) other texts: one variation (new parameter), (c) hill climbing by texts, 30 proposals; nulls: as asked, shadow
(as many trials of text 1 within +-10 % of b's best), mapped (common parameters follow), transport one level / compounding. Sizes at .05; q95 of the null.  usage: g3.py reps"""
import numpy as np, sys, time
from g1 import Field,p_of
reps=int(sys.argv[1]); B=199; t0=time.time(); SEED=20261321
def show(name,R,Q): print(name,{k:round(float(np.mean(v)),3) for k,v in R.items()},'q95/q99',{k:np.round(np.mean(v,0),2).tolist() for k,v in Q.items()},f'{time.time()-t0:.0f}s',flush=True)
def put(R,Q,k,t,v): R.setdefault(k,[]).append(p_of(t,v[1:])<=.05); Q.setdefault(k,[]).append(np.quantile(v[1:],[.95,.99]))
def beta(Z,w): c=w[1:]-w[1:].mean(); return np.clip((Z[:,1:]@c)/(c@c),0,1.5)
def tr(Z,w,best): T=Z.copy(); T[:,1:]+=beta(Z,w)[:,None]*np.maximum(0,best[1:]-w[1:])[None]; return T.max(0)
for ell,nug in ((.3,0),(.1,0),(.1,.1)):
    rng=np.random.default_rng([SEED,int(ell*100),int(nug*100)]); R,Q={},{}
    for r in range(reps):
        f=Field(ell,nug,B,rng); P=rng.random((100,2)); Z=f(P); x=P[Z[:,0].argmax()]; win=P[Z.argmax(0)]; m=Z.max(0)
        off=(rng.random((100,2))*2-1)*.1; lo,hi=np.clip(x-.1,0,1),np.clip(x+.1,0,1); P2=lo+(off+.1)/.2*(hi-lo); d=np.clip(win-x,-lo,1-hi); Zc=f.per(P2[None]+d[:,None,:]); Z2=f(P2) if nug else None
        if nug: Zc[0]=Z2[:,0]
        Pr=np.clip(win[:,None,:]+(P2-x)[None],0,1); Zk=f.per(Pr); Zk[0]=Zc[0]; t=max(m[0],Zc[0].max())
        put(R,Q,'clamped window',t,np.maximum(m,Zc.max(1))); put(R,Q,'clipped trials',t,np.maximum(m,Zk.max(1)))
    show(f'(a) ell {ell} nugget {nug} wide, narrow:',R,Q)
for ell,nug in ((.3,0),(.1,0),(.1,.1)):
    for ny,what in ((10,'x fixed, 10 values of a new parameter'),(30,'30')):
        rng=np.random.default_rng([SEED,int(ell*100),int(nug*100),ny]); R,Q={},{}
        for r in range(reps):
            f=Field(ell,nug,B,rng,3); P=np.c_[rng.random((300,2)),np.full(300,.5)]; Z=f(P); w=Z[Z[:,0].argmax()]; x=P[Z[:,0].argmax()]; win=P[Z.argmax(0)]; m=Z.max(0)
            y=rng.random(ny); Y=f(np.c_[np.repeat(x[None,:2],ny,0),y]); Pm=np.concatenate([np.repeat(win[:,None,:2],ny,1),np.repeat(y[None,:,None],B+1,0)],2); Ym=f.per(Pm); Ym[0]=Y[:,0]
            so=np.c_[(rng.random((ny,2))*2-1)*.1,np.zeros(ny)]; S=f.per(np.clip(win[:,None,:]+so[None],0,1)); S[0]=-9; t=max(m[0],Y[:,0].max()); ak=np.maximum(m,Y.max(0))
            put(R,Q,'last',Y[:,0].max(),Y.max(0)); put(R,Q,'asked',t,ak); put(R,Q,'shadow',t,np.maximum(ak,S.max(1))); put(R,Q,'mapped',t,np.maximum(m,Ym.max(1))); put(R,Q,'transport',t,np.maximum(m,tr(Y,w,m)))
        show(f'(b) ell {ell} nugget {nug} {what}:',R,Q)
for rho in (.98,.95,.9,.7,.5):
    for M in (20,300):
        rng=np.random.default_rng([SEED,int(rho*100),M]); R,Q={},{}
        for r in range(reps*2):
            Z=rng.standard_normal((M,B+1)); w=Z[Z[:,0].argmax()]; w0=w; m=Z.max(0); asked=m.copy(); one=m.copy(); comp=m.copy()
            for k in range(30):
                x=rho*w+np.sqrt(1-rho*rho)*rng.standard_normal(B+1); X=x[None]
                one=np.maximum(one,tr(X,w,asked)); comp=np.maximum(comp,tr(X,w,comp)); asked=np.maximum(asked,x)
                if x[0]>w[0]: w=x
            put(R,Q,'last',w[0],w); put(R,Q,'asked',w[0],asked); put(R,Q,'transport',w[0],one); put(R,Q,'compounding',w[0],comp)
        show(f'(c) 30 texts, each {rho} like the best so far, after a search of {M}:',R,Q)
