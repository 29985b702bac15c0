"""G5b. As g5, with imagined values a trial: text 1's trial z is worth f_b(z + b's best - real best) on draw b (clipped); a trial x of a later text is worth
t_x[b] + beta_xz (imagined_z[b] - t_z[b]), z its most correlated earlier trial (99 draws, >= .35, else as asked).  usage: g5b.py reps"""
import numpy as np, sys, time
from g1 import p_of, feats
reps=int(sys.argv[1]); B=199; t0=time.time(); SEED=20261341
def link(Z,H,I,lo=.35):
    a=Z[:,1:100]-Z[:,1:100].mean(1,keepdims=True); h=H[:,1:100]-H[:,1:100].mean(1,keepdims=True); cor=(a@h.T)/np.sqrt((a*a).sum(1)[:,None]*(h*h).sum(1)[None]); z=cor.argmax(1); cz=cor[np.arange(len(Z)),z]
    bz=np.clip((a*h[z]).sum(1)/(h[z]**2).sum(1),0,1.5)*(cz>=lo); N=Z+bz[:,None]*(I[z]-H[z]); N[:,0]=Z[:,0]; return N
for ell in (.3,.1):
    for rho,K,n in ((.95,6,40),(.8,6,40),(.5,6,40),(.95,15,1),(.8,15,1),(.95,15,9)):
        rng=np.random.default_rng([SEED,int(ell*100),int(rho*100),n]); R,Q={},{}
        for r in range(reps):
            om=rng.standard_normal((64,2))/ell; W=rng.standard_normal((128,B+1)); P=rng.random((200,2)); Z=feats(P,om)@W; w=Z[Z[:,0].argmax()]; x=P[Z[:,0].argmax()]; win=P[Z.argmax(0)]
            d=win-x; F=feats(np.clip(P[None]+d[:,None,:],0,1),om); I=np.einsum('bnf,fb->nb',F,W); I[:,0]=Z[:,0]; k0=Z[:,0].argmax(); I[k0]=Z.max(0)
            H=Z.copy(); asked=Z.max(0); near=asked.copy(); comp=asked.copy(); one=asked.copy(); Wb=W
            for k in range(K-1):
                Wn=rho*Wb+np.sqrt(1-rho*rho)*rng.standard_normal((128,B+1)); h=.15 if n>9 else .03; Pk=np.clip(x+(rng.random((n,2))*2-1)*h,0,1); Z=feats(Pk,om)@Wn
                N=link(Z,H,I); c=w[1:100]-w[1:100].mean(); be=np.clip((Z[:,1:100]-Z[:,1:100].mean(1,keepdims=True))@c/(c@c),0,1.5)[:,None]
                C=Z+be*np.maximum(0,comp-w)[None]; C[:,0]=Z[:,0]; T=Z+be*np.maximum(0,asked-w)[None]; T[:,0]=Z[:,0]
                one=np.maximum(one,T.max(0)); comp=np.maximum(comp,C.max(0)); near=np.maximum(near,N.max(0)); asked=np.maximum(asked,Z.max(0)); H=np.vstack([H,Z]); I=np.vstack([I,N]); m=Z[:,0].argmax()
                if Z[m,0]>w[0]: w=Z[m]; x=Pk[m]; Wb=Wn
            for nm,v in (('asked',asked),('one level',one),('compounding',comp),('nearest',near)): R.setdefault(nm,[]).append(p_of(w[0],v[1:])<=.05); Q.setdefault(nm,[]).append(np.quantile(v[1:],[.95,.99]))
        print(f'ell {ell} rho {rho} {K} texts of {n} trials:',{k:round(float(np.mean(v)),3) for k,v in R.items()},'q95/q99',{k:np.round(np.mean(v,0),2).tolist() for k,v in Q.items()},f'{time.time()-t0:.0f}s',flush=True)
