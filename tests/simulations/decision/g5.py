"""G5. A chain of texts, each with a search: text k+1 is rho like the best text so far at the same parameters (f' = rho f + sqrt(1-rho^2) g, g a new field), 40 trials in +-.15 of
the best point so far; text 1: 200 trials. Nulls: as asked; transport by the best trial so far, one level / compounding; by the most correlated earlier trial (imagined values).
usage: g5.py reps"""
import numpy as np, sys, time
from g1 import p_of, feats
reps=int(sys.argv[1]); B=199; t0=time.time(); SEED=20261331
def betas(Z,w): c=w[1:100]-w[1:100].mean(); return np.clip((Z[:,1:100]-Z[:,1:100].mean(1,keepdims=True))@c/(c@c),0,1.5)
for ell in (.3,.1):
    for rho,K in ((.95,6),(.8,6),(.5,6),(0.,6)):
        rng=np.random.default_rng([SEED,int(ell*100),int(rho*100)]); R,Q={},{}
        for r in range(reps):
            om=rng.standard_normal((64,2))/ell; W=rng.standard_normal((128,B+1)); P=rng.random((200,2)); Z=feats(P,om)@W; H=Z.copy(); I=Z.copy()   # all raw and imagined values
            w=Z[Z[:,0].argmax()]; x=P[Z[:,0].argmax()]; asked=Z.max(0); one=asked.copy(); comp=asked.copy(); near=asked.copy(); Wb=W
            for k in range(K-1):
                Wn=rho*Wb+np.sqrt(1-rho*rho)*rng.standard_normal((128,B+1)); Pk=np.clip(x+(rng.random((40,2))*2-1)*.15,0,1); Z=feats(Pk,om)@Wn
                be=betas(Z,w)[:,None]; T=Z+be*np.maximum(0,asked-w)[None]; T[:,0]=Z[:,0]; C=Z+be*np.maximum(0,comp-w)[None]; C[:,0]=Z[:,0]
                a=Z[:,1:100]-Z[:,1:100].mean(1,keepdims=True); h=H[:,1:100]-H[:,1:100].mean(1,keepdims=True); cor=(a@h.T)/np.sqrt((a*a).sum(1)[:,None]*(h*h).sum(1)[None]); z=cor.argmax(1); cz=cor[np.arange(40),z]
                bz=np.clip((a*h[z]).sum(1)/(h[z]**2).sum(1),0,1.5)*(cz>=.35)
                # imagined values of the earlier trials: those of text 1 as the winner's world would show them: raw, but the best so far carries near
                N=Z+bz[:,None]*(I[z]-H[z]); N[:,0]=Z[:,0]
                # also through the best so far
                j=be[:,0]*(np.corrcoef(np.vstack([w[1:100],Z[:,1:100]]))[0,1:]>=.35); N2=Z+j[:,None]*np.maximum(0,near-w)[None]; N2[:,0]=Z[:,0]
                one=np.maximum(one,T.max(0)); comp=np.maximum(comp,C.max(0)); 
                near=np.maximum(near,N2.max(0)); asked=np.maximum(asked,Z.max(0)); H=np.vstack([H,Z]); I=np.vstack([I,N2])
                m=Z[:,0].argmax()
                if Z[m,0]>w[0]: w=Z[m]; x=Pk[m]; Wb=Wn
            for n,v in (('asked',asked),('one level',one),('compounding',comp),('compounding, beta 0 under .35',near)): R.setdefault(n,[]).append(p_of(w[0],v[1:])<=.05); Q.setdefault(n,[]).append(np.quantile(v[1:],[.95,.99]))
        print(f'ell {ell} rho {rho} {K} texts:',{k:round(float(np.mean(v)),3) for k,v in R.items()},'q95/q99',{k:np.round(np.mean(v,0),2).tolist() for k,v in Q.items()},f'{time.time()-t0:.0f}s',flush=True)
