# rcc on NixOS: importing this module and enabling it is what `sudo rcc init` is elsewhere.
{
  config,
  lib,
  utils,
  ...
}:
let
  cfg = config.services.rcc;
  identities = import ./identities.nix;

  known =
    name:
    let
      user = config.users.users.${name};
    in
    user.isNormalUser || user.isSystemUser || user.uid != null;
  unknown = lib.filter (name: !known name) cfg.users;

  identitiesOf =
    position: name:
    lib.nameValuePair name (
      { config, ... }:
      let
        start = identities.start position;
        isOurs = range: (range.startUid or range.startGid) == start;
      in
      {
        subUidRanges = [
          {
            startUid = start;
            count = identities.length;
          }
        ];
        subGidRanges = [
          {
            startGid = start;
            count = identities.length;
          }
        ];
        # NixOS gives normal users a range for their containers unless one is declared: ours is none.
        autoSubUidGidRange = lib.mkIf (
          config.isNormalUser && lib.all isOurs (config.subUidRanges ++ config.subGidRanges)
        ) (lib.mkDefault true);
      }
    );

  # Root runs sandboxes but no relay, and needs no group.
  agents = lib.remove "root" cfg.users;

  # What is started in the sessions of these users; without a condition it would be in everybody's.
  startedFor = users: target: {
    wantedBy = lib.optional (users != [ ]) target;
    unitConfig.ConditionUser = map (user: "|${user}") users;
  };

  # A switch of the kernel that the system sets to nothing.
  isOff =
    name:
    lib.elem (config.boot.kernel.sysctl.${name} or null) [
      0
      false
      "0"
    ];
  userborn = config.services.userborn or { enable = false; };

  # What plugins have systemd load, and nobody gives it.
  credentialsOf = manifest: lib.attrValues (manifest.credentials or { });
  wanted = lib.concatMap credentialsOf (lib.attrValues cfg.plugins);
  missing = lib.subtractLists (lib.attrNames cfg.broker.credentials) (lib.catAttrs "systemd" wanted);
in
{
  imports = [ ./options.nix ];

  options.services.rcc = {
    podman.enable = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether to install Podman, the container engine that needs no root.";
    };
    docker.enable = lib.mkEnableOption "Docker beside or instead of Podman. Whoever may use its socket is root";
  };

  config = lib.mkIf cfg.enable {
    # The units are the package's, so that they are written once; here stands what a package cannot say.
    systemd.packages = [ cfg.package ];
    systemd.services.rcc-firewall = {
      wantedBy = [ "sysinit.target" ];
      # The rules are replaced in one transaction, and running sandboxes go on.
      reloadTriggers = [ cfg.configFile ];
      stopIfChanged = false;
    };

    systemd.sockets.rcc-relay = lib.mkIf cfg.relay.system.enable { wantedBy = [ "sockets.target" ]; };
    systemd.services.rcc-relay = lib.mkIf cfg.relay.system.enable {
      wantedBy = [ "multi-user.target" ];
      reloadTriggers = [ cfg.configFile ];
    };

    systemd.services.rcc-relay-bridge =
      lib.mkIf (cfg.relay.system.enable && cfg.settings.relay.cluster.backend != null)
        {
          wantedBy = [ "rcc-relay.service" ];
          restartTriggers = [ cfg.configFile ];
        };

    systemd.services."rcc-plugins@" = lib.mkIf (cfg.broker.users != [ ]) {
      serviceConfig.LoadCredential = lib.mapAttrsToList (
        name: path: "${name}:${path}"
      ) cfg.broker.credentials;
    };
    systemd.targets.multi-user.wants = map (user: "rcc-plugins@${user}.service") cfg.broker.users;

    systemd.user.sockets.rcc-relay = lib.mkIf cfg.relay.enable (startedFor agents "sockets.target");
    systemd.user.services = lib.mkMerge [
      { rcc-relay = lib.mkIf cfg.relay.enable (startedFor agents "default.target"); }
      (lib.mapAttrs' (
        name: daemon:
        lib.nameValuePair "rcc-${name}" (
          startedFor cfg.users "default.target"
          // {
            inherit (daemon) description;
            serviceConfig = {
              ExecStart = utils.escapeSystemdExecArgs ([ (lib.getExe cfg.package) ] ++ daemon.arguments);
              Restart = "on-failure";
              NoNewPrivileges = true;
            };
          }
        )
      ) cfg.daemons)
    ];

    users.users = lib.mkMerge [
      (lib.listToAttrs (lib.imap0 identitiesOf cfg.users))
      {
        # Its group is that of those who may use it, so that what it makes for them is theirs to open.
        rcc-relay = lib.mkIf cfg.relay.system.enable {
          isSystemUser = true;
          group = "rcc-agents";
          description = "Relay between rcc sandboxes";
        };
      }
    ];
    users.groups.rcc-agents = lib.mkIf cfg.relay.system.enable { members = agents; };

    boot.kernelModules = [
      "tun"
    ]
    # Nothing is loaded on demand any more once the kernel is locked.
    ++ lib.optionals config.security.lockKernelModules [
      "inet_diag"
      "nf_tables"
      "nfnetlink_log"
      "nft_fib_inet"
      "nft_limit"
      "nft_log"
      "nft_reject_inet"
      "tcp_diag"
      "udp_diag"
    ];

    virtualisation.podman.enable = lib.mkIf cfg.podman.enable (lib.mkDefault true);
    virtualisation.docker.enable = lib.mkIf cfg.docker.enable (lib.mkDefault true);

    warnings =
      lib.optional (cfg.users == [ ])
        "services.rcc.users is empty, so that nobody can run a sandbox with a network: name your users there.";

    assertions = [
      {
        assertion = unknown == [ ];
        message = "services.rcc.users names ${toString unknown}, whom nobody declares: add users.users.<name>, or remove the name.";
      }
      {
        assertion = lib.length cfg.users <= identities.usersMax;
        message = "services.rcc.users names ${toString (lib.length cfg.users)} users: at most ${toString identities.usersMax} can have network identities.";
      }
      {
        assertion = lib.all (user: lib.elem user cfg.users) cfg.broker.users;
        message = "services.rcc.broker.users names somebody who may not run sandboxes: add the name to services.rcc.users, or remove it.";
      }
      {
        assertion = missing == [ ];
        message = "services.rcc.plugins loads ${toString missing} from systemd, which has no such credential: add services.rcc.broker.credentials.<name>.";
      }
      {
        assertion = !config.boot.isContainer;
        message = "services.rcc cannot work in a NixOS container, whose firewall is not the host's: enable it on the host and run the agent there.";
      }
      {
        assertion = !isOff "user.max_user_namespaces" && !isOff "kernel.unprivileged_userns_clone";
        message = "services.rcc makes its sandboxes of user namespaces, which are turned off: set security.allowUserNamespaces = true, and security.unprivilegedUsernsClone = true if the kernel is a hardened one.";
      }
      {
        assertion = config.security.wrappers ? newuidmap && config.security.wrappers ? newgidmap;
        message = "services.rcc needs the setuid programs newuidmap and newgidmap: set security.shadow.enable = true.";
      }
      {
        assertion = !config.systemd.sysusers.enable;
        message = "services.rcc: systemd-sysusers does not write /etc/subuid, where network identities are declared: set systemd.sysusers.enable = false, or use userborn 1.0 or later in its place.";
      }
      {
        assertion = !(userborn.enable && lib.versionOlder userborn.package.version "1.0");
        message = "services.rcc: this userborn does not write /etc/subuid, where network identities are declared: use userborn 1.0 or later, or set services.userborn.enable = false.";
      }
    ];
  };
}
