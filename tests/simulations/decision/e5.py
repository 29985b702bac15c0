"""E5. edge1 and the rule 'less than z standard errors of 20 blocks is no spread'. Markets of e_spread.py (opens repeat the last close), 3,000 bars. usage: e5.py n"""
import numpy as np,sys,types
m=types.ModuleType('bidask'); m.edge=lambda *a,**k:0; sys.modules['bidask']=m
import pathlib; PROTOTYPES=pathlib.Path(__file__).resolve().parents[4]/'shared'/'prototypes'/'decision'; sys.path.insert(0,str(PROTOTYPES)); sys.dont_write_bytecode=True
src=(PROTOTYPES/'e_spread.py').read_text().replace('cache=True','cache=False'); ns={'__name__':'es'}; exec(compile(src,'es','exec'),ns); market=ns['market']
def moments(O,H,L,C):
    o,h,l,c=np.log(O),np.log(H),np.log(L),np.log(C); m=(h+l)/2; h1,l1,c1,m1=h[:-1],l[:-1],c[:-1],m[:-1]; o,h,l,c,m=o[1:],h[1:],l[1:],c[1:],m[1:]
    r1,r2,r3,r4=m-o,o-m1,m-c1,c1-m1; tau=((h!=l)|(l!=c1))*1.; po=(tau*(o!=h)).mean()+(tau*(o!=l)).mean(); pc=(tau*(c1!=h1)).mean()+(tau*(c1!=l1)).mean(); pt=tau.mean()
    if po==0 or pc==0 or pt==0: return None
    return -4/po*(r1-r1.mean()/pt*tau)*r2-4/pc*(r3-r3.mean()/pt*tau)*r4
def spread(b,z):
    e=moments(*b)
    if e is None: return 0.,0.
    k=len(e)//20; bl=e[:20*k].reshape(20,k).mean(1); m=e.mean(); se=bl.std(ddof=1)/np.sqrt(20)
    return (np.sqrt(m) if m>0 and m>=z*se else 0.),np.sqrt(max(m,0))
n=int(sys.argv[1]); rng=np.random.default_rng(20261315)
for sig in (.004,.01,.03):
    for half in (0.,.0002,.0005,.001,.002,.003):
        B=[market('noise',rng,sig,half,True) for _ in range(n)]; out=[[spread(b,z)[0] for b in B] for z in (0,1,2,3)]
        print(f'sigma {sig} true spread {2e4*half:.0f} bp:',' '.join(f'z {z}: median {1e4*np.median(v):.0f} sd {1e4*np.std(v):.0f} zero in {np.mean(np.array(v)==0):.2f}' for z,v in zip((0,1,2,3),out)),flush=True)
for kind in ('drift','ou8','ou4'):
    B=[market(kind,rng,.01,.0002,True) for _ in range(n//2)]; out=[[spread(b,z)[0] for b in B] for z in (0,2)]; print(kind,'sigma .01 true 4 bp',[f'median {1e4*np.median(v):.0f} q90 {1e4*np.quantile(v,.9):.0f} zero in {np.mean(np.array(v)==0):.2f}' for v in out],flush=True)
