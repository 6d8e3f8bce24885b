# Two sandboxes exchange messages through their user's relay, and the system's relay is who it should be.
{
  nodes.machine =
    { pkgs, ... }:
    {
      services.rcc.relay.enable = true;
      services.rcc.relay.system.enable = true;
      # The user's manager runs without a login.
      users.users.dev.linger = true;
      users.users.stranger.isNormalUser = true;

      # ping: says something to the project `api` until it is there, and waits for the answer.
      # pong: waits for what is said, and answers it.
      environment.etc."relay-talk.py".source = pkgs.writeText "relay-talk.py" ''
        import json, socket, sys, time

        link = socket.socket(socket.AF_UNIX)
        link.connect("/run/rcc/relay.sock")
        lines = link.makefile("rw")

        def say(**request):
            lines.write(json.dumps(request) + "\n")
            lines.flush()

        def heard(kind):
            for line in lines:
                said = json.loads(line)
                if said["type"] == kind:
                    return said

        say(type="subscribe")
        assert "error" not in heard("response")
        if sys.argv[1] == "ping":
            say(type="send", to="project:api", text="ping")
            while "error" in heard("response"):
                time.sleep(1)
                say(type="send", to="project:api", text="ping")
            print(heard("message"))
        else:
            message = heard("message")
            say(type="send", to=message["from"]["session"], text="pong", reply_to=message["id"])
            assert "error" not in heard("response")
            print(message)
      '';
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.wait_until_succeeds("rcc firewall status", timeout=20)
    machine.wait_for_unit("rcc-relay.service", "dev", timeout=30)

    def as_dev(command):
        return machine.succeed(f"su --login dev --command '{command}'")

    with subtest("two sandboxes exchange messages"):
        as_dev("mkdir web api && cp /etc/relay-talk.py web && cp /etc/relay-talk.py api")
        machine.succeed("su --login dev --command 'cd api && rcc run --relay -- python3 relay-talk.py pong' >/tmp/api &")
        said = as_dev("cd web && timeout 60 rcc run --relay -- python3 relay-talk.py ping")
        assert "pong" in said, said
        machine.wait_until_succeeds("grep ping /tmp/api", timeout=20)
        as_dev("rcc relay audit --verify")

    with subtest("nobody else comes to a user's relay"):
        machine.fail("su --login stranger --command 'test -e /run/user/4242/rcc/relay/relay.sock'")

    with subtest("the system's relay has no privilege, and only the group reaches it"):
        machine.wait_for_unit("rcc-relay.service")
        pid = machine.succeed("systemctl show -P MainPID rcc-relay.service").strip()
        assert machine.succeed(f"ps -o user= -p {pid}").strip() == "rcc-relay"
        assert machine.succeed("stat -c '%a %G' /run/rcc-relay/relay.sock").strip() == "660 rcc-agents"
        as_dev("rcc relay status --system")
        machine.fail("su --login stranger --command 'rcc relay status --system'")

    with subtest("a reload keeps the process"):
        machine.succeed("systemctl reload rcc-relay.service")
        assert pid == machine.succeed("systemctl show -P MainPID rcc-relay.service").strip()
  '';
}
