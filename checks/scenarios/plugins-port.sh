# A plugin of kind http at a port of the sandbox's own loopback: npm itself installs from a private registry without a
# token inside, in a sandbox without any other network too. The port is that sandbox's alone.
# shellcheck source=/dev/null
. "$lib/relay"
# shellcheck source=/dev/null
. "$lib/plugins"
secret=canary-91b7d04e6f2ac853
authority && vouched /run/hosts.pem npm.private.test || broken "there are certificates" /dev/null
machine hosts 203.0.113.50 203.0.113.49
echo "npm.private.test 203.0.113.50" >>/mnt/log/dns
ip netns exec hosts python3 "$lib/tool_hosts.py" 203.0.113.50 /run/hosts.pem /run/arrived &
hosts=$!
within 5 test -e /run/arrived || broken "the hosts listen" /dev/null
ready
cp -a /home/dev/project /home/dev/shop
install -D -m 0644 /run/authority.pem /etc/rcc/authority.pem
credential npm-registry $secret
as-user root rcc plugin add npm-registry >/run/added 2>&1 || broken "the manifest comes with rcc" /run/added
sed -i 's|^upstream = .*|upstream = "https://npm.private.test"\nca = "/etc/rcc/authority.pem"|' /etc/rcc/plugins/npm-registry.toml
check "the manifest is right" as-user dev rcc plugin check npm-registry
sandbox a dev project --profile offline
sandbox b dev project --no-plugins
agent() { inside a "cd ~/project && { $1
}"; }
port=127.0.0.1:4873
curl="curl -sS -m 20"
arrived_as() { grep -cE "\"method\": \"$1\", \"target\": \"$2\"" /run/arrived; }

check "a client of HTTP is answered at the port" says '"dist-tags"' -- agent "$curl http://$port/left"
check "the registry got the token" says "\"authorization\": \"Bearer $secret\"" -- cat /run/arrived
check "what a client gives as its own does not arrive" agent "$curl -o /dev/null -H 'Authorization: Bearer forged' http://$port/left"
check "it did not" fails grep -q forged /run/arrived
agent "printf 'registry=http://$port/\nreplace-registry-host=always\nfetch-retries=0\n' >.npmrc
    echo '{\"name\": \"mine\", \"version\": \"1.0.0\"}' >package.json" >/dev/null
before=$(arrived_as GET /left/-/left-1.0.0.tgz)
check "npm installs, offline but for the port" agent 'npm install left && npm view left version'
check "what it installed is there" [ "$(agent "node -p 'require(\"left\")'")" = required ]
check "its archive came by the port" [ "$(arrived_as GET /left/-/left-1.0.0.tgz)" -gt "$before" ]
check "npm ci" agent 'rm -rf node_modules && npm cache clean --force && npm ci && test -e node_modules/left/index.js'
check "npm audit" says 'found 0' -- agent 'npm audit'
check "npm publish is refused" says '403' -- fails agent 'npm --//127.0.0.1:4873/:_authToken=x publish'
check "and does not arrive" [ "$(arrived_as PUT '[^"]*')" = 0 ]
check "every request had the token" [ "$(grep -vc "Bearer $secret" /run/arrived)" = 0 ]
# The pattern does not match itself.
check "nothing inside has it" agent "! { env; cat /proc/[0-9]*/{environ,cmdline}; } 2>/dev/null | grep -aq '[c]${secret#c}' &&
    ! grep -rqs '[c]${secret#c}' /run /tmp \$HOME /etc"

# Who serves it.
server='$(pgrep -f "guest ports")'
check "what serves the port is one process" [ "$(agent "pgrep -fc 'guest ports'")" = 1 ]
for line in 'CapEff:\s*0*$' 'CapPrm:\s*0*$' 'CapBnd:\s*0*$' 'NoNewPrivs:\s*1$' 'Seccomp:\s*2$'; do
    check "it is confined as the agent is: ${line%%:*}" agent "grep -qP '^$line' /proc/$server/status"
done
check "it is of the agent's user, and has nothing open but its sockets" agent "[ \$(stat -c %u /proc/$server) = \$(id -u) ] &&
    ! find /proc/$server/fd -lname '/*' ! -lname /dev/null | grep ."
check "nor a terminal or the agent's session" agent "[ \$(ps -o tty= -p $server) = '?' ] && [ \$(ps -o sid= -p $server) = \$(ps -o pid= -p $server) ]"
check "it listens at 127.0.0.1 alone" agent "! $curl --interface 127.0.0.2 http://127.0.0.2:4873/left && ! $curl 'http://[::1]:4873/left'"
check "the host has no such port" fails curl -sS -m 5 "http://$port/left"
check "nor has a sandbox without plugins" fails inside b "$curl http://$port/left"
held() { # 64 that say nothing, and what one more has then; they leave, and it is answered
    agent "python3 - <<'END'
import socket
held = [socket.create_connection(('127.0.0.1', 4873), 5) for _ in range(64)]
more = socket.create_connection(('127.0.0.1', 4873), 5)
more.sendall(b'GET /left HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
more.settimeout(2)
try: print('early', more.recv(1))
except TimeoutError: print('waits')
for one in held: one.close()
more.settimeout(20)
print(more.recv(15))
END"
}
check "64 connections are led at a time, and one more waits" says '^waits$' 'HTTP/1.1 200' -- held
check "afterwards it serves as before" agent "$curl -o /dev/null -f http://$port/left"

# What is not there is told.
as-user dev rcc plugin stop npm-registry
check "a plugin that is stopped says so" says 'is stopped; on the host' -- agent "$curl http://$port/left"
as-user dev rcc plugin start npm-registry
mv /etc/rcc/plugins/npm-registry.toml /run/
check "a plugin that is gone is told of" within 5 says 'the plugin npm-registry does not answer' -- agent "$curl http://$port/left"
sed 's/^port = .*/port = 4873/' /run/npm-registry.toml >/etc/rcc/plugins/a-second.toml
mv /run/npm-registry.toml /etc/rcc/plugins/
check "with its manifest it is there again" within 5 agent "$curl -f -o /dev/null http://$port/left"
check "two plugins of one port are told of, and the first has it" says 'a-second and npm-registry have the same `port`, 4873' '"dist-tags"' -- \
    as-user dev rcc run --profile offline -- $curl "http://$port/left"
rm /etc/rcc/plugins/a-second.toml
sed -i 's/^port = .*/port = 80/' /etc/rcc/plugins/npm-registry.toml
check "a port that is not the user's to take is a mistake" says 'from 1024 to 65535' -- fails as-user dev rcc plugin check npm-registry
leave a
leave b
check "with the sandbox its server ends" fails pgrep -f 'guest ports'
kill $hosts
