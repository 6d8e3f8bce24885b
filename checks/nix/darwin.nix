# The nix-darwin module in a whole system, which is evaluated on every platform and built on none.
{
  lib,
  self,
  nix-darwin,
  tested,
  ...
}:
let
  system =
    module:
    (nix-darwin.lib.darwinSystem {
      modules = [
        self.darwinModules.default
        {
          nixpkgs.hostPlatform = "aarch64-darwin";
          system.stateVersion = 6;
          services.rcc.enable = true;
          services.rcc.users = [ "alice" ];
        }
        module
      ];
    }).config;
  refusals = module: map (it: it.message) (lib.filter (it: !it.assertion) (system module).assertions);

  plain = system { };
  job = plain.launchd.daemons.rcc-firewall.serviceConfig;
  daemon.services.rcc.daemons.example = {
    description = "An example";
    arguments = [ "example" ];
  };
in
tested "darwin" {
  testNothingIsRefused = {
    expr = refusals { };
    expected = [ ];
  };
  testTheFirewallIsRootsAndAlwaysRuns = {
    expr = {
      inherit (job) RunAtLoad KeepAlive UserName;
      runs = lib.hasSuffix "exec ${lib.getExe plain.services.rcc.package} firewall apply --watch" (
        lib.last job.ProgramArguments
      );
    };
    expected = {
      RunAtLoad = true;
      KeepAlive = true;
      UserName = null;
      runs = true;
    };
  };
  testTheJobTakesThePlaceOfInits = {
    expr = plain.environment.launchDaemons ? "rcc-firewall.plist";
    expected = true;
  };
  testAnotherConfigurationIsAnotherJob = {
    expr =
      let
        other = system { services.rcc.settings.limits.pids = 100; };
      in
      other.launchd.daemons.rcc-firewall.serviceConfig.EnvironmentVariables == job.EnvironmentVariables;
    expected = false;
  };
  testTheConfigurationLiesInEtc = {
    expr = plain.environment.etc."rcc/config.toml".source;
    expected = plain.services.rcc.configFile;
  };
  testPfConfStaysTheSystems = {
    expr = plain.environment.etc ? "pf.conf";
    expected = false;
  };
  testTheRuntimeIsAChoice = {
    expr = lib.length (system { services.rcc.runtime = null; }).environment.systemPackages;
    expected = lib.length plain.environment.systemPackages - 1;
  };
  testARelayIsLeftOutWithAWord = {
    expr =
      let
        inherit (system { services.rcc.relay.enable = true; }) launchd warnings;
      in
      {
        said = lib.any (lib.hasInfix "the relay runs on Linux") warnings;
        started = launchd.user.agents ? rcc-relay;
      };
    expected = {
      said = true;
      started = false;
    };
  };
  testADaemonNeedsThePrimaryUser = {
    expr = map (module: lib.any (lib.hasInfix "set system.primaryUser") (refusals module)) [
      daemon
      {
        imports = [ daemon ];
        system.primaryUser = "alice";
      }
    ];
    expected = [
      true
      false
    ];
  };
}
