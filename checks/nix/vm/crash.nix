# Whatever dies, the rules stay whole; they are there before anybody can log in, and after a reboot.
{
  nodes.machine = {
    specialisation.wider.configuration.services.rcc.settings.profiles.work.allow = [
      {
        address = "10.1.2.3";
        ports = [ 5432 ];
      }
    ];
  };

  testScript = ''
    def entered(unit):
        return int(machine.succeed(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}"))

    def in_force():
        machine.succeed("nft list table inet rcc")
        # The service may be about to follow the network's last change.
        machine.wait_until_succeeds("rcc firewall status", timeout=20)

    def check_boot():
        machine.wait_for_unit("multi-user.target")
        in_force()
        for later in ["network-pre.target", "systemd-user-sessions.service"]:
            assert 0 < entered("rcc-firewall.service") <= entered(later), later

    check_boot()

    for name in ["apply-kill", "killed", "pasta-dead"]:
        with subtest(name):
            print(machine.succeed(f"scenario {name}"))

    with subtest("the service's death and its stop leave the rules"):
        machine.succeed("systemctl kill --signal=KILL rcc-firewall.service")
        in_force()
        machine.wait_until_succeeds("systemctl is-active rcc-firewall.service")
        machine.succeed("systemctl stop rcc-firewall.service")
        in_force()
        machine.succeed("systemctl start rcc-firewall.service")

    with subtest("a changed configuration is loaded by a reload, without a restart"):
        pid = machine.succeed("systemctl show -P MainPID rcc-firewall.service")
        machine.succeed("/run/current-system/specialisation/wider/bin/switch-to-configuration test")
        machine.succeed("nft list table inet rcc | grep -F 10.1.2.3")
        in_force()
        assert pid == machine.succeed("systemctl show -P MainPID rcc-firewall.service")

    with subtest("after a crash the machine boots with the rules"):
        machine.crash()
        machine.start()
        check_boot()
        machine.fail("nft list table inet rcc | grep -F 10.1.2.3")
  '';
}
