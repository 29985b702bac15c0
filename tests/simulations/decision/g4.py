"""G4. The whole procedure on Gaussian searches with the integer clock (ticks), B = 999/1,999, h = 21, one bit a look. Life of K searches, ask whenever p_s <= .05.
Independent searches of M rules; renewals every `ren` searches (old ones re-drawn: independent new draws). Null and power.  usage: g4.py"""
import numpy as np, time
from scipy.stats import norm
SEED=20261322; W1,W2=np.sqrt(.7),np.sqrt(.3); t0=time.time()
def G(j): return .7 if j==1 else .3*6/np.pi**2/(j-1)**2
def bc(hits,h=21):   # hits bool[B]
    c=np.flatnonzero(hits); return h/(c[h-1]+1) if len(c)>=h else (1+len(c))/(len(hits)+1)
def life(K,M,n,ren=0,S=0.,T=1.,edge='none',seed=0,extra=0):
    rng=np.random.default_rng([SEED,K,M,ren,seed]); first=np.full(n,10**6); Ls=[]; looks=[]
    for r in range(n):
        ticks=0; j=0; cum=None; q=rng.integers(0,K); jj=0
        for k in range(K):
            if k==0 or (ren and k%ren==0): j=0; ticks+=21; U=rng.random((1999,k+1)) ; V=U**(1/M); cum=V.max(1)
            else:
                v=rng.random(1999)**(1/M); new=np.maximum(cum,v); a,b=cum[:99],new[:99]; o=np.argsort(-b,kind='stable')[:20]; c=b[o[-1]]; ticks+=1+int((a[o]<c).sum()); cum=new
            zi=rng.standard_normal(M); zh=rng.standard_normal(M)
            if edge=='all' or (edge=='one' and k==q): zi[0]+=S*np.sqrt(.7*T); zh[0]+=S*np.sqrt(.3*T)
            i=zi.argmax(); u=norm.cdf(zi[i]); null=cum
            if extra: null=np.maximum(cum,rng.random(1999)**(1/extra))
            a=.01*.5*(21/ticks)**2*G(j+1); B=999 if a>=3e-4 else 1999; p=bc(null[:B]>=u)
            if p>.05: continue
            j+=1; jj+=1; ph=bc(rng.random(B)<=norm.sf(zh[i]))
            if ph<=.2 and W1*norm.isf(p)+W2*norm.isf(ph)>=norm.isf(a): first[r]=k; break
        Ls.append(ticks/21); looks.append(jj)
    ks=[x for x in (1,3,5,10,30,100) if x<=K]
    return f'K {K} M {M} renewal every {ren or "-"} edge {edge} S {S} T {T} foreign {extra} n {n}:',{x:round(100*float(np.mean(first<x)),2) for x in ks},'L mean',round(np.mean(Ls),2),f'{time.time()-t0:.0f}s'
print(*life(30,20,4000),flush=True)
print(*life(50,20,2500,ren=5),flush=True)
for M,T,S in ((20,5,2),(20,2,3)):
    print(*life(10,M,1200,S=S,T=T,edge='all'),flush=True); print(*life(10,M,1200,S=S,T=T,edge='one'),flush=True)
for extra in (0,20,100,300,1000,10000): print('one search, hostile neighbours of N independent rules',*life(1,20,3000,S=2,T=5,edge='all',extra=extra,seed=1),flush=True)
for extra in (0,20,100,300,1000,10000): print('one search, hostile neighbours of N independent rules',*life(1,20,3000,S=3,T=2,edge='all',extra=extra,seed=1),flush=True)
