# Claude Code of nixpkgs in a sandbox, driven by a scripted API.
{ lib, ... }:
{
  nodes.machine =
    { pkgs, ... }:
    {
      environment.systemPackages = [ pkgs.claude-code ];
      virtualisation.memorySize = lib.mkForce 4096;
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    claude = machine.succeed("realpath $(command -v claude)").strip()

    def as_dev(command, expect=machine.succeed):
        return expect(f"su --login dev --command 'cd p && {command}'")

    machine.succeed(f"su --login dev --command 'mkdir p && cp {claude} p/claude'")

    with subtest("the agent of the store is taken, and none that the project holds"):
        assert claude in as_dev(f"rcc claude --program {claude} --dry-run")
        assert claude in as_dev("rcc claude --dry-run")
        as_dev("rcc claude --program ./claude --dry-run", machine.fail)

    with subtest("claude"):
        print(machine.succeed(f"CLAUDE={claude} scenario claude"))
  '';
}
