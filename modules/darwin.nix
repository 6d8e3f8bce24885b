# rcc with nix-darwin: enabling this module is what `sudo rcc init` is elsewhere.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.rcc;
  runtimes = {
    container = pkgs.container;
    orbstack = pkgs.orbstack;
  };
in
{
  imports = [ ./options.nix ];

  options.services.rcc.runtime = lib.mkOption {
    type = lib.types.nullOr (lib.types.enum (lib.attrNames runtimes));
    default = "container";
    description = ''
      What runs the Linux containers: Apple's `container`, or OrbStack, which is unfree and has to be
      allowed in {option}`nixpkgs.config`. With `null` none is installed.
    '';
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = lib.optional (cfg.runtime != null) runtimes.${cfg.runtime};

    # It loads the anchor, and sees to it that pf.conf, which macOS replaces in updates, refers to it.
    # The job is the one that `rcc init` makes, by the same name, and waits for the store's volume.
    launchd.daemons.rcc-firewall = {
      command = "${lib.getExe cfg.package} firewall apply --watch";
      # Not read by anybody: with another configuration this is another job, so that launchd starts it anew.
      environment.RCC_CONFIGURATION = "${cfg.configFile}";
      serviceConfig = {
        Label = "rcc-firewall";
        RunAtLoad = true;
        KeepAlive = true;
        ProcessType = "Interactive";
        Umask = 18; # 022
        WorkingDirectory = "/";
        StandardErrorPath = "/var/log/rcc-firewall.log";
      };
    };

    launchd.user.agents = lib.mapAttrs' (
      name: daemon:
      lib.nameValuePair "rcc-${name}" {
        command = lib.escapeShellArgs ([ (lib.getExe cfg.package) ] ++ daemon.arguments);
        serviceConfig = {
          RunAtLoad = true;
          KeepAlive.SuccessfulExit = false;
        };
      }
    ) cfg.daemons;

    warnings =
      lib.optional (
        cfg.relay.enable || cfg.relay.system.enable
      ) "services.rcc.relay does nothing here: the relay runs on Linux."
      ++ lib.optional (
        cfg.broker.users != [ ]
      ) "services.rcc.broker does nothing here: plugins run on Linux.";

    assertions = [
      {
        assertion = pkgs.stdenv.hostPlatform.isAarch64;
        message = "services.rcc needs a Mac with an Apple processor: its containers are Linux on aarch64.";
      }
      {
        assertion = cfg.daemons == { } || config.system.primaryUser != null;
        message = "services.rcc starts daemons of the user's own session: set system.primaryUser to the user who runs sandboxes.";
      }
    ];
  };
}
