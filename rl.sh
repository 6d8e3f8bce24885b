cd /tmp/gx; C=$(cat C); RCC=/work/wt/guest/target/debug/rcc
export HOME=/tmp/gx/h RCC_RELAY_SOCKET=/tmp/gx/run/relay.sock ANTHROPIC_BASE_URL=http://127.0.0.1:9 ANTHROPIC_API_KEY=sk-ant-test-0000 ANTHROPIC_UNIX_SOCKET=/tmp/gx/h/proj/api.sock
uapi() { rm -f rec.jsonl h/proj/api.sock; python3 /work/shared/tools/fake_anthropic.py --unix h/proj/api.sock --script $1 --record rec.jsonl >api.log 2>&1 & APIPID=$!; sleep 0.6; }
rclaude() { (cd h/proj; timeout 60 $RCC claude --profile offline --program $C "$@"); }
last() { python3 - <<'P'
import json
for l in open('/tmp/gx/rec.jsonl'):
    r=json.loads(l)
    if r.get('kind')!='main': continue
    print('---', r['n'], r['t'], [t for t in r['tools'] if 'mcp' in t])
    m=r['messages'][-1]
    c=m['content']
    if isinstance(c,str): print(m['role'],' T:',c[:1500])
    else:
        for b in c: print(m['role'],' ',b['type'], json.dumps(b.get('text') or b.get('content'))[:1300])
P
}
shot() { tmux -L gx capture-pane -p -t $1 | grep -v '^$'; }
type_() { tmux -L gx send-keys -t $1 -l "$2"; sleep 0.3; tmux -L gx send-keys -t $1 Enter; }
