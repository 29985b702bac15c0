"""E1. Adaptive searches against cheaper nulls, with the product's engine. One walk of 1,400 bars, D permuted markets, every point of a box evaluated once
a draw; the product's own samplers then search that table. Each draw is the 'real' one in turn (draws are exchangeable), so
size(m,S) = share of draws i with (1 + #{j != i: S_j >= m_i}) / D <= a.   usage: e1.py family D n_trials methods..."""
from eng import *
from tunesmith.compute.search.samplers.known_points import keys
SEED=20261311
def table_search(rule,rg,method,n,seed,idx,sharpe,**o):
    s=Search(rule,plan(rg,method,n,seed=seed,**o)); sm=s.sampler; at=0; seen=[]
    while at<n:
        P=sm.ask(at,min(n,sm.ready))
        if not len(P): break
        i=np.array([idx[k] for k in keys(P)]); seen.append(i); v=sharpe[i]; sm.tell(P,np.where(v>-90,v,np.nan)[:,None]); at+=len(P)
    return np.concatenate(seen)
def ascent(t,shape,sub,rng,k=5,reach=1):
    g=t.reshape(shape); best=-9.
    for q in sub[np.argsort(t[sub])[-k:]]:
        p=np.array(np.unravel_index(q,shape))
        for _ in range(60):
            sl=tuple(slice(max(a-reach,0),a+reach+1) for a in p); w=g[sl]; j=np.unravel_index(int(w.argmax()),w.shape); n=np.array([s.start+a for s,a in zip(sl,j)])
            if (n==p).all(): break
            p=n
        best=max(best,g[tuple(p)])
    return best
def size(m,S,a):
    D=len(m); o=np.sort(S); ge=D-np.searchsorted(o,m-1e-12); ge=ge-(S>=m-1e-12); return np.mean((1+ge)/D<=a)
if __name__=='__main__':
    fam,D,n=sys.argv[1],int(sys.argv[2]),int(sys.argv[3]); methods=sys.argv[4:]; rule,rg=BOX[fam]; P=grid_points(rule,rg); idx={k:i for i,k in enumerate(keys(P))}
    full=[Search(rule,plan(rg,'grid')).region.space.dimensions]; shape=tuple(d.size for d in full[0]); valid=len(P)==np.prod(shape)
    if not valid:   # put the valid ones into the full grid for the ascent
        G=Search(rule,plan(rg,'grid')).region.space.grid(0,int(np.prod(shape))); pos=np.array([{k:i for i,k in enumerate(keys(G))}[k] for k in keys(P)]) if 0 else None
        kk={k:i for i,k in enumerate(keys(G))}; pos=np.array([kk[k] for k in keys(P)])
    else: pos=np.arange(len(P))
    rng=np.random.default_rng([SEED,n,len(P)]); bars=mm.walk(rng,1400); V={}; tm={}
    def put(k,v): V.setdefault(k,[]).append(v)
    for b in range(D):
        bb=permuted(bars,draw_order(1400,SEED,b)); c=time.process_time(); t,sh=t_fast(rule,bb,P); tm['table']=tm.get('table',0)+time.process_time()-c
        put('box',t.max()); perm=rng.permutation(len(P))
        fixed=np.random.default_rng(5).permutation(len(P))
        for f in (1,3,10): put(f'random {f}n',t[perm[:min(f*n,len(P))]].max())
        tf=np.full(int(np.prod(shape)),-9.); tf[pos]=t
        put('random n + ascent',ascent(tf,shape,pos[perm[:n]],rng)); put('random n + ascent 2',ascent(tf,shape,pos[perm[:n]],rng,5,2)); put('random n/4 + ascent',ascent(tf,shape,pos[perm[:max(n//4,20)]],rng))
        for m in methods:
            c=time.process_time(); i=table_search(rule,rg,m,n,7,idx,sh); tm[m]=tm.get(m,0)+time.process_time()-c; put(m,t[i].max())
    V={k:np.array(v) for k,v in V.items()}; print(fam,'box',len(P),'n',n,'D',D,'cpu a draw',{k:round(v/D,4) for k,v in tm.items()})
    print('  q90/q95/q99',{k:np.round(np.quantile(v,[.9,.95,.99]),2).tolist() for k,v in V.items()})
    for m in methods: print('  size of',m,'at .10/.05/.01 against the null of',{k:[round(float(size(V[m],S,a)),3) for a in (.1,.05,.01)] for k,S in V.items()},'finds the box maximum in',round(float(np.mean(V[m]>=V['box']-1e-9)),2),flush=True)
