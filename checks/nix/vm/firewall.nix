# What a sandbox reaches, with either of NixOS' own firewalls beside rcc's table.
{
  nodes = {
    iptables = { };
    nftables.networking.nftables = {
      enable = true;
      # The harshest neighbour: it removes all tables, rcc's too, whenever it reloads.
      flushRuleset = true;
    };
  };

  testScript = ''
    start_all()
    for machine in [iptables, nftables]:
        machine.systemctl("start network-online.target")
        machine.wait_for_unit("network-online.target")
        machine.wait_for_unit("multi-user.target")
        machine.fail("journalctl --boot | grep --ignore-case 'ordering cycle'")
        machine.wait_until_succeeds("rcc firewall status", timeout=20)
        machine.succeed("iptables -nL || nft list table inet nixos-fw")

        with subtest("a user's sandbox starts, as the module declared it"):
            machine.succeed("su --login dev --command 'mkdir p && cd p && rcc run -- touch was-here'")
            machine.succeed("test -e ~dev/p/was-here")
            machine.succeed("su --login dev --command 'rcc setup'")

        for name in ["reach-matrix", "exceptions", "siblings", "rules-flushed", "inherited"]:
            with subtest(name):
                print(machine.succeed(f"scenario {name}"))

    with subtest("the rules come back when NixOS' own service has flushed them"):
        nftables.succeed("systemctl reload nftables.service")
        nftables.wait_until_succeeds("rcc firewall status", timeout=10)
        nftables.succeed("systemctl restart nftables.service")
        nftables.wait_until_succeeds("rcc firewall status", timeout=10)
  '';
}
