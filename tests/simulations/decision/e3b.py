"""E3. The attacks that need only the daemon, with the product's engine, on markets without an edge. One market = 1,400 bars in sample (of which the first 1,100
before a renewal) of a random kind (walk, GARCH-t, jumps, switching, drift). Text 1: averages, grid fast 2..62/2 x slow 10..250/4 (1,664 valid points), evaluated on
the real bars and on B permuted markets, so that every way of searching is a look-up. Nulls: last = last search alone (today); asked = max-T, points as they were;
follow = points shifted by (b's best - real best) in index steps, clipped to the box; tr1 = one-level transport; box = maximum over the whole box.
Approval = 1{p_s <= .05} min(.2, Phi((sqrt(.7) z_s - z_a)/sqrt(.3))), the hold-out being independent of the in-sample part.   usage: e3.py n_markets B seed"""
from eng import *
from scipy.stats import norm
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.samplers.known_points import keys
W1,W2=np.sqrt(.7),np.sqrt(.3)
KINDS=['walk, middling volatility','walk, high volatility','GARCH-t','jumps','switching volatility','walk, drift up']
T1=mm.FAMILIES['Bollinger'].rule
T2=Strategy.parse(mm.BANDS.replace('bands = bbands','trend = Int(100, 5, 400)\nbands = bbands').replace('enter_long(close < bands.lower)','enter_long(close < bands.lower and close > sma(close, trend))'),id='bands2')
NF,NS=31,61; FV=np.arange(NF)*3+5; SV=.5+np.arange(NS)*.05
G=np.array([(f,s,.1) for f in FV for s in SV],float); OK=np.ones(len(G),bool); TR=np.arange(5,205,7.)
def pv(t,m): return (1+(m>=t-1e-12).sum())/(len(m)+1)
def rank_t(x): return x
def app(p,a):
    if p>.05: return 0.
    return float(min(.2,norm.cdf((W1*norm.isf(p)-norm.isf(a))/W2)))
def nominal(B,a): return float(np.mean([app((1+k)/(B+1),a) for k in range(B+1)]))
def box_idx(i,j): return np.clip(i,0,NF-1)*NS+np.clip(j,0,NS-1)
def ticks(Ms):
    """the record clock over cumulative maxima Ms (list of vectors, first 99 draws): 21 ticks = one independent try"""
    out=21; 
    for a,b in zip(Ms[:-1],Ms[1:]):
        a,b=a[:99],b[:99]; c=np.sort(b)[::-1][19]; out+=1+int(((b>=c)&(a<c)).sum())
    return out
def level(tk,j=1): g=.5*(21/tk)**2; return .01*g*(.7 if j==1 else .3*6/np.pi**2/(j-1)**2)
def run(n,B,seed):
    R={}; t00=time.time()
    def rec(row,**p):   # p: name -> (p value, level)
        d=R.setdefault(row,{}); 
        for k,(x,a) in p.items(): d.setdefault(k,[]).append((x,app(x,a)))
    for r in range(n):
        rng=np.random.default_rng([seed,r]); bars=mm.NOISE[KINDS[r%len(KINDS)]](rng,1400); first=bars.slice(0,1100)
        def table(b,P,rule=T1): 
            t,_=t_fast(rule,b,P,EX); return t
        Z=np.full((len(G),B+1),-9.); Z[OK,0]=table(bars,G[OK]); old=np.full(len(G),-9.); old[OK]=table(first,G[OK]); D=[permuted(bars,draw_order(1400,seed*100003+r,b)) for b in range(B)]
        for b in range(B): Z[OK,b+1]=table(D[b],G[OK])
        box=Z.max(0); ok=np.flatnonzero(OK); base=.0035
        def beta(X,w): c=w[1:]-w[1:].mean(); return np.clip((X[:,1:]@c)/(c@c+1e-12),0,1.5)
        def tr1(X,w,best):
            T=X.copy(); T[:,1:]+=beta(X,w)[:,None]*(best[1:]-w[1:])[None]; return T.max(0)
        def shifted(offs,win):   # offsets (m,2) in steps around every market's own winner (B+1,) flat index
            i,j=win//NS,win%NS; F=box_idx(i[:,None]+offs[None,:,0],j[:,None]+offs[None,:,1]); return np.take_along_axis(Z.T,F,1),F
        sub=rng.choice(ok,300,replace=False); W=Z[sub]; asked=W.max(0); win=sub[W.argmax(0)]; w0=win[0]; wi,wj=w0//NS,w0%NS; m1=asked.copy()
        rec('wide alone (honest first search)',last=(pv(W[:,0].max(),asked[1:]),base),box=(pv(W[:,0].max(),box[1:]),base))
        # narrowing: 100 random points in +-6 x +-12 steps, then all of +-2 x +-2
        o1=np.stack([rng.integers(-6,7,100),rng.integers(-12,13,100)],1); X,F=shifted(o1,win); A=Z[F[0]]; fol=np.maximum(m1,X.max(1)); up=X.max(1)>m1; win2=np.where(up,F[np.arange(B+1),X.argmax(1)],win)
        ask2=np.maximum(m1,A.max(0)); tr=np.maximum(m1,tr1(A,Z[w0],m1))
        w1=win2[0]; o2=np.array([(a,b) for a in range(-2,3) for b in range(-2,3)]); X2,F2=shifted(o2,win2); A2=Z[F2[0]]; fol2=np.maximum(fol,X2.max(1)); ask3=np.maximum(ask2,A2.max(0)); tr2=np.maximum(tr,tr1(A2,Z[w1],ask2))
        t=ask3[0]; tk=ticks([m1[1:],fol[1:],fol2[1:]]); a=level(tk)
        rec('wide, narrow, narrower',last=(pv(A2[:,0].max(),A2[:,1:].max(0)),base),asked=(pv(t,ask3[1:]),base),follow=(pv(t,fol2[1:]),a),tr1=(pv(t,tr2[1:]),a),box=(pv(t,box[1:]),base)); R.setdefault('ticks narrowing',[]).append(tk)
        # +-1 step
        o=np.array([(a,b) for a in (-1,0,1) for b in (-1,0,1)]); X,F=shifted(o,win); A=Z[F[0]]; t=max(m1[0],A[:,0].max()); fol=np.maximum(m1,X.max(1)); tk=ticks([m1[1:],fol[1:]]); a=level(tk); R.setdefault('ticks +-1',[]).append(tk)
        rec('wide, then +-1 step',last=(pv(A[:,0].max(),A[:,1:].max(0)),base),asked=(pv(t,np.maximum(m1,A.max(0))[1:]),base),follow=(pv(t,fol[1:]),a),tr1=(pv(t,np.maximum(m1,tr1(A,Z[w0],m1))[1:]),a),box=(pv(t,box[1:]),base))
        # one point again
        rec('wide, then its winner as one point',last=(pv(Z[w0,0],Z[w0,1:]),base),asked=(pv(Z[w0,0],m1[1:]),level(22)),follow=(pv(Z[w0,0],m1[1:]),level(22)))
        rec('all 1,664 points, then every range set to the winner',last=(pv(box[0],Z[Z[:,0].argmax(),1:]),base),asked=(pv(box[0],box[1:]),level(22)))
        # hill climbing by hand: ten single points, each one step from the best so far, moving when better
        cur=w0; pts=[]; seq=[]
        for q in range(10):
            i,j=cur//NS,cur%NS; di,dj=[(1,0),(-1,0),(0,1),(0,-1),(1,1),(-1,-1),(2,0),(0,2),(1,-1),(-1,1)][q]; x=int(box_idx(np.array(i+di),np.array(j+dj))); pts.append(x)
            if Z[x,0]>Z[cur,0]: cur=x
        A=Z[pts]; t=Z[cur,0]; offs=np.array([(x//NS-wi,x%NS-wj) for x in pts]); X,_=shifted(offs,win); fol=np.maximum(m1,X.max(1)); a=level(ticks([m1[1:],fol[1:]]))
        rec('wide, then ten single points by hand',last=(pv(t,Z[cur,1:]),base),asked=(pv(t,np.maximum(m1,A.max(0))[1:]),base),follow=(pv(t,fol[1:]),a),tr1=(pv(t,np.maximum(m1,tr1(A,Z[w0],m1))[1:]),a),box=(pv(t,box[1:]),base))
        # a variation of the text: the winner's averages fixed, one more parameter searched
        P2=np.array([(*G[w0],x) for x in TR]); Y=np.stack([table(bars,P2,T2)]+[table(d,P2,T2) for d in D],1); t=max(m1[0],Y[:,0].max())
        YM=np.stack([Y[:,0]]+[table(D[b],np.array([(*G[win[b+1]],x) for x in TR]),T2) for b in range(B)],1)
        so=np.stack([rng.integers(-3,4,len(TR)),rng.integers(-6,7,len(TR))],1); XS,_=shifted(so,win); sh=np.maximum(np.maximum(m1,Y.max(0)),XS.max(1)); mp=np.maximum(m1,YM.max(0)); ak=np.maximum(m1,Y.max(0)); tt=np.maximum(m1,tr1(Y,Z[w0],m1))
        rec('wide, then another text: its winner plus a filter',last=(pv(Y[:,0].max(),Y[:,1:].max(0)),base),asked=(pv(t,ak[1:]),base),shadow=(pv(t,sh[1:]),level(ticks([m1[1:],sh[1:]]))),mapped=(pv(t,mp[1:]),level(ticks([m1[1:],mp[1:]]))),tr1=(pv(t,tt[1:]),level(ticks([m1[1:],tt[1:]]))))
        # renewal: wide (all 300) on the first 1,100 bars, winner as one point / narrowed once after the boundary moved
        o_w=sub[old[sub].argmax()]; rec('wide on 1,100 bars, 300 new bars, its winner as one point',last=(pv(Z[o_w,0],Z[o_w,1:]),base),asked=(pv(Z[o_w,0],m1[1:]),level(21+22)),box=(pv(Z[o_w,0],box[1:]),base))
        A=Z[box_idx(o_w//NS+o1[:,0],o_w%NS+o1[:,1])]; X,_=shifted(o1,win); fol=np.maximum(m1,X.max(1)); t=max(Z[o_w,0],A[:,0].max()); tw=np.maximum(m1,tr1(A,Z[o_w],m1))
        rec('the same, narrowed around that winner',last=(pv(A[:,0].max(),A[:,1:].max(0)),base),asked=(pv(t,np.maximum(m1,A.max(0))[1:]),base),follow=(pv(t,fol[1:]),level(21+ticks([m1[1:],fol[1:]]))),tr1=(pv(t,tw[1:]),base))
        # two keys: the wide search hidden; submitted: its winner, a neighbour, a far relation
        S=Z[sub]; cw=Z[w0,1:]-Z[w0,1:].mean()
        cor=(Z[:,1:]-Z[:,1:].mean(1,keepdims=True))@cw/np.sqrt(((Z[:,1:]-Z[:,1:].mean(1,keepdims=True))**2).sum(1)*(cw@cw)+1e-12); cor[~OK]=-1; cor[sub]=-1
        for lo,hi,nm in ((.85,.99,'about .9'),(.6,.8,'about .7'),(.4,.6,'about .5')):
            c=np.flatnonzero((cor>lo)&(cor<hi)); 
            if not len(c): continue
            x=c[Z[c,0].argmax()]   # the best of those related (tried outside the record, say: worst case)
            x2=rng.choice(c)
            for nm2,y in (('one',x2),):
                cz=Z[y,1:]-Z[y,1:].mean(); C=(S[:,1:]-S[:,1:].mean(1,keepdims=True)); rr=C@cz/np.sqrt((C**2).sum(1)*(cz@cz)+1e-12); k=int(np.nanargmax(rr)); rho=float(np.clip(rr[k],0,1))
                v=Z[y].copy(); v[1:]+=(rho if rho>3.5/np.sqrt(B) else 0.)*(m1[1:]-S[k,1:])
                kin=np.maximum(Z[y],m1) if np.nanmax(rr)>=.8 else Z[y]; kin5=np.maximum(Z[y],m1) if np.nanmax(rr)>=.5 else Z[y]
                rec(f'two keys: hidden wide search, one point related by {nm}',last=(pv(Z[y,0],Z[y,1:]),base),kin8=(pv(Z[y,0],kin[1:]),base),kin5=(pv(Z[y,0],kin5[1:]),base),transport=(pv(Z[y,0],v[1:]),base))
        if (r+1)%20==0 or r+1==n:
            print(f'--- {r+1} markets, B {B}, seed {seed}, {time.time()-t00:.0f}s',flush=True)
            for row,d in R.items():
                if isinstance(d,list): print(f'{row:60s}',np.mean(d)/21,np.quantile(d,[.1,.9])/21); continue
                print(f'{row:60s}',{k:f'{np.mean([x<=.05 for x,_ in v]):.3f} / {np.mean([x<=.0101 for x,_ in v]):.3f} / {.35*np.mean([y for _,y in v])/nominal(B,.0035):.2f} %' for k,v in d.items()},flush=True)
if __name__=='__main__': run(int(sys.argv[1]),int(sys.argv[2]),int(sys.argv[3]))
