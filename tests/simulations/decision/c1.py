"""C1. CPU of a verdict with ten searches behind it: per permuted market, today's kernels by block sums ('t_fast') and with Sharpe only (what t will cost once
its sums are in the walk's totals). 1,400 bars. Scenario A: one text, ten searches of 1,000 points in one box (4 learning: reach = the box). Scenario B: three
texts, 3+3+4 searches, learning reach 6,652/9,984/7,150. Scenario C: ten texts' worth: ten separate calls of 1,000 points, no learning."""
from eng import *
rng=np.random.default_rng(1); bars=mm.walk(rng,1400); D=15
def cpu(f):
    f(); c=time.process_time(); [f() for _ in range(3)]; return (time.process_time()-c)/3
for ex,nm in ((EX,'long'),(EXB,'both')):
    row={}
    for fam,(rule,rg) in BOX.items():
        P=grid_points(rule,rg); R=P[rng.permutation(len(P))[:1000]]; U=np.unique(np.concatenate([P[rng.permutation(len(P))[:1000]] for _ in range(3)]),axis=0)
        for k,Q in (('box',P),('1000',R),('3x1000',U)):
            row[fam,k]=(cpu(lambda:t_fast(rule,bars,Q,ex)),cpu(lambda:evaluate_points(rule,bars,Q,ex,metrics=('sharpe','n_trades'))))
    for nm2,parts in (('A averages',[('averages','box')]),('A bands',[('bands','box')]),('B',[(f,'box') for f in BOX]),('C',[(f,'1000') for f in BOX]*3+[('bands','1000')])):
        a=sum(row[p][0] for p in parts); b=sum(row[p][1] for p in parts); print(nm,nm2,f'ms a draw {1e3*a:.1f} / {1e3*b:.1f}; 999 draws on two cores {999*a/2:.0f} s / {999*b/2:.0f} s; 99 draws {99*a/2:.1f} / {99*b/2:.1f} s',flush=True)
    print({k:tuple(round(1e3*x,1) for x in v) for k,v in row.items()})
