# The NixOS module in whole systems: what it declares, and what it refuses with which words.
{
  lib,
  self,
  nixpkgs,
  pkgs,
  tested,
  ...
}:
let
  schema = import ../../modules/schema.nix { inherit lib pkgs; };

  system =
    module:
    (nixpkgs.lib.nixosSystem {
      modules = [
        self.nixosModules.default
        {
          nixpkgs.hostPlatform = "x86_64-linux";
          system.stateVersion = lib.trivial.release;
          boot.loader.grub.enable = false;
          fileSystems."/".device = "none";
          services.rcc.enable = true;
          users.users = lib.genAttrs [ "alice" "bob" ] (_: {
            isNormalUser = true;
          });
        }
        module
      ];
    }).config;

  # The messages of what a system refuses, as far as they are ours.
  refusals =
    module:
    let
      failed =
        lib.filter (it: !it.assertion && lib.hasInfix "services.rcc" it.message)
          (system module).assertions;
    in
    map (it: it.message) failed;
  refusedFor = words: module: lib.any (lib.hasInfix words) (refusals module);

  two = system {
    services.rcc.users = [
      "alice"
      "bob"
    ];
  };
  starts = of: map (range: range.startUid) of.users.users.bob.subUidRanges;
  unit = two.systemd.services.rcc-firewall;
  # What /etc/rcc/config.toml says.
  written =
    settings: schema.prune (system { services.rcc.settings = settings; }).services.rcc.settings;
  sysinit = two.systemd.units."rcc-firewall.service";
in
tested "module" {
  testNothingIsRefused = {
    expr = refusals { services.rcc.users = [ "alice" ]; };
    expected = [ ];
  };
  testTheUnitIsThePackages = {
    expr = {
      packaged = lib.elem two.services.rcc.package two.systemd.packages;
      inherit (sysinit) wantedBy;
      ownCommand = unit.serviceConfig ? ExecStart;
    };
    expected = {
      packaged = true;
      wantedBy = [ "sysinit.target" ];
      ownCommand = false;
    };
  };
  testTheUnitIsReloadedWithTheConfiguration = {
    expr = unit.reloadTriggers;
    expected = [ two.services.rcc.configFile ];
  };
  testTheConfigurationLiesInEtc = {
    expr = two.environment.etc."rcc/config.toml".source;
    expected = two.services.rcc.configFile;
  };
  testAnExceptionLeavesTheGroupsOfTheAllowlistAlone = {
    expr =
      (written {
        profiles.allowlist.allow = [
          {
            domain = "git.corp.example";
            ports = [ 22 ];
          }
        ];
      }).profiles;
    expected.allowlist.allow = [
      {
        domain = "git.corp.example";
        ports = [ 22 ];
        protocol = "tcp";
      }
    ];
  };
  testAProfileListsGroupsAndNames = {
    expr = lib.getAttrs [ "groups" "profiles" ] (written {
      profiles.narrow = {
        default = "deny";
        groups = [
          "claude"
          "internal"
        ];
        names = [
          "docs.example.com"
          { name = "*.example.com"; }
        ];
      };
      groups.internal.names = [
        {
          name = "registry.example.com";
          ports = [
            443
            "8000-8100"
          ];
          protocol = "any";
        }
      ];
    });
    expected = {
      profiles.narrow = {
        default = "deny";
        groups = [
          "claude"
          "internal"
        ];
        names = [
          "docs.example.com"
          {
            name = "*.example.com";
            ports = [ 443 ];
            protocol = "tcp";
          }
        ];
        allow = [ ];
      };
      groups.internal.names = [
        {
          name = "registry.example.com";
          ports = [
            443
            "8000-8100"
          ];
          protocol = "any";
        }
      ];
    };
  };
  testALockedKernelHasWhatTheRulesAndTheResolverNeed = {
    expr =
      let
        modules = [
          "nfnetlink_log"
          "udp_diag"
        ];
        locked = system { security.lockKernelModules = true; };
      in
      lib.subtractLists locked.boot.kernelModules modules;
    expected = [ ];
  };
  testIdentitiesFollowFromThePlace = {
    expr = [
      (starts two)
      (map (range: range.startGid) two.users.users.bob.subGidRanges)
      (starts (system {
        services.rcc.users = [ "bob" ];
      }))
    ];
    expected = [
      [ 1919091712 ]
      [ 1919091712 ]
      [ 1919090688 ]
    ];
  };
  testContainersKeepTheirOwnRange = {
    expr = two.users.users.alice.autoSubUidGidRange;
    expected = true;
  };
  testDeclaredRangesAreLeftAlone = {
    expr =
      let
        inherit
          (system {
            services.rcc.users = [ "alice" ];
            users.users.alice.subUidRanges = [
              {
                startUid = 100000;
                count = 65536;
              }
            ];
          })
          users
          ;
      in
      users.users.alice.autoSubUidGidRange;
    expected = false;
  };
  testNobodyToRunSandboxesIsWorthAWord = {
    expr = map (it: lib.any (lib.hasInfix "name your users there") it.warnings) [
      two
      (system { })
    ];
    expected = [
      false
      true
    ];
  };
  testRootMayBeAUser = {
    expr = refusals { services.rcc.users = [ "root" ]; };
    expected = [ ];
  };
  testPodmanIsThereUnlessDeclined = {
    expr = map (it: it.virtualisation.podman.enable) [
      two
      (system { services.rcc.podman.enable = false; })
      (system { virtualisation.podman.enable = false; })
    ];
    expected = [
      true
      false
      false
    ];
  };
  testDockerIsAChoice = {
    expr = map (it: it.virtualisation.docker.enable) [
      two
      (system { services.rcc.docker.enable = true; })
    ];
    expected = [
      false
      true
    ];
  };
  testEitherFirewallIsFine = {
    expr = refusals {
      networking.nftables.enable = true;
      networking.firewall.enable = true;
    };
    expected = [ ];
  };
  testADaemonRunsInTheSessionsOfTheUsers = {
    expr =
      let
        inherit
          (system {
            services.rcc.users = [ "alice" ];
            services.rcc.daemons.example = {
              description = "An example";
              # As systemd reads it, neither a specifier nor a variable.
              arguments = [ "100% of $HOME" ];
            };
          })
          systemd
          ;
        daemon = systemd.user.services.rcc-example;
      in
      {
        users = daemon.unitConfig.ConditionUser;
        literal = lib.hasSuffix ''"100%% of $$HOME"'' daemon.serviceConfig.ExecStart;
      };
    expected = {
      users = [ "|alice" ];
      literal = true;
    };
  };
  testTheRelaysUnitsAreThePackagesAndTheUsers = {
    expr =
      let
        inherit
          (system {
            services.rcc.users = [
              "alice"
              "root"
            ];
            services.rcc.relay.enable = true;
          })
          systemd
          users
          ;
        inherit (systemd.user.services) rcc-relay;
        socket = systemd.user.sockets.rcc-relay;
      in
      {
        service = rcc-relay.unitConfig.ConditionUser;
        socket = socket.unitConfig.ConditionUser;
        wanted = rcc-relay.wantedBy ++ socket.wantedBy;
        ownCommand = rcc-relay.serviceConfig ? ExecStart;
        account = users.users ? rcc-relay;
        ofTheSystem = systemd.services ? rcc-relay;
      };
    expected = {
      service = [ "|alice" ];
      socket = [ "|alice" ];
      wanted = [
        "default.target"
        "sockets.target"
      ];
      ownCommand = false;
      account = false;
      ofTheSystem = false;
    };
  };
  testTheSystemsRelayHasAnAccountAndTheUsersItsGroup = {
    expr =
      let
        inherit
          (system {
            services.rcc.users = [
              "alice"
              "root"
            ];
            services.rcc.relay.system.enable = true;
          })
          services
          systemd
          users
          ;
      in
      {
        inherit (users.users.rcc-relay) group isSystemUser;
        inherit (users.groups.rcc-agents) members;
        wanted = systemd.services.rcc-relay.wantedBy ++ systemd.sockets.rcc-relay.wantedBy;
        reloaded = systemd.services.rcc-relay.reloadTriggers == [ services.rcc.configFile ];
        ofTheUsers = systemd.user.services ? rcc-relay;
      };
    expected = {
      group = "rcc-agents";
      isSystemUser = true;
      members = [ "alice" ];
      wanted = [
        "multi-user.target"
        "sockets.target"
      ];
      reloaded = true;
      ofTheUsers = false;
    };
  };
  testAPluginIsAManifestInEtcAndItsCredentialIsLoadedForWhoeverIsNamed = {
    expr =
      let
        inherit
          (system {
            services.rcc.users = [
              "alice"
              "bob"
            ];
            services.rcc.plugins.git = {
              version = 1;
              kind = "git";
              credentials.github.systemd = "github";
            };
            services.rcc.broker = {
              users = [ "alice" ];
              credentials.github = "/run/secrets/github";
            };
          })
          environment
          systemd
          ;
      in
      {
        manifest = environment.etc ? "rcc/plugins/git.toml";
        loaded = systemd.services."rcc-plugins@".serviceConfig.LoadCredential;
        started = lib.filter (lib.hasPrefix "rcc-plugins@") systemd.targets.multi-user.wants;
      };
    expected = {
      manifest = true;
      loaded = [ "github:/run/secrets/github" ];
      started = [ "rcc-plugins@alice.service" ];
    };
  };
  testEachRefusalNamesItsRemedy = {
    expr = lib.filter (it: !refusedFor it.words it.module) [
      {
        words = "add users.users.<name>";
        module.services.rcc.users = [ "carol" ];
      }
      {
        words = "set systemd.sysusers.enable = false";
        module.systemd.sysusers.enable = true;
      }
      {
        words = "remove all but the first";
        module.services.rcc.users = [
          "alice"
          "alice"
        ];
      }
      {
        words = "use services.rcc.users";
        module.services.rcc.settings.users = [ "alice" ];
      }
      {
        words = "choose another name";
        module.services.rcc.settings.profiles.offline = { };
      }
      {
        words = "a file outside of it";
        module.services.rcc.settings.relay.cluster = {
          backend = "nats";
          host = "desk";
          servers = [ "tls://nats.example.org" ];
          credentials = "${builtins.storeDir}/abc/nats.creds";
        };
      }
      {
        words = "name one outside of it";
        module.services.rcc.broker.credentials.github = "${builtins.storeDir}/abc/token";
      }
      {
        words = "add services.rcc.broker.credentials.<name>";
        module.services.rcc.plugins.git.credentials.github.systemd = "github";
      }
      {
        words = "add the name to services.rcc.users";
        module.services.rcc.broker.users = [ "bob" ];
      }
      {
        words = "enable it on the host";
        module.boot.isContainer = true;
      }
      {
        words = "set security.allowUserNamespaces = true";
        module.security.allowUserNamespaces = false;
      }
      {
        words = "security.unprivilegedUsernsClone = true";
        module.boot.kernel.sysctl."kernel.unprivileged_userns_clone" = false;
      }
    ];
    expected = [ ];
  };
}
