# What NixOS and nix-darwin have in common: `services.rcc`, and the file that it becomes.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.rcc;
  schema = import ./schema.nix { inherit lib pkgs; };

  # The build machine's own rcc judges the file, also where the system is built for another one.
  checker =
    if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
      cfg.package
    else
      pkgs.buildPackages.callPackage ../nix/package.nix { };

  toml = pkgs.formats.toml { };

  # The name of a file says which tool its manifest is for.
  manifestOf =
    name: manifest:
    let
      text = toml.generate "${name}.toml" manifest;
    in
    pkgs.runCommand "rcc-plugin-${name}" { nativeBuildInputs = [ checker ]; } ''
      cp ${text} ${name}.toml
      HOME=$TMPDIR rcc plugin check --elsewhere ./${name}.toml
      cp ${name}.toml $out
    '';
in
{
  options.services.rcc = {
    enable = lib.mkEnableOption "rcc, which runs coding agents in a sandbox that they cannot loosen";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ../nix/package.nix { };
      defaultText = lib.literalMD "rcc of this flake, built with the packages of the system";
      description = "The rcc package.";
    };

    users = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "alice" ];
      description = ''
        Login names of those who may run sandboxes with a network. A user's network identities follow
        from the place in this list: append new users at its end.
      '';
    };

    settings = lib.mkOption {
      inherit (schema) type;
      default = { };
      example = {
        profiles.work.allow = [
          {
            domain = "git.corp.example";
            ports = [ 22 ];
          }
        ];
      };
      description = ''
        The content of {file}`/etc/rcc/config.toml`, which `rcc config check` judges while the system
        is built. `users` comes from [](#opt-services.rcc.users).
      '';
    };

    configFile = lib.mkOption {
      type = lib.types.package;
      internal = true;
      readOnly = true;
      description = "The file that the settings become.";
    };

    relay = {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = ''
          Whether each user has a relay, through which the user's sandboxes exchange messages. What it
          does is said in {file}`~/.config/rcc/config.toml`. Who makes it one of a cluster there also
          enables its bridge, once: `systemctl --user enable --now rcc-relay-bridge`. Linux only.
        '';
      };
      system.enable = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = ''
          Whether the system has a relay, through which sandboxes of several users exchange messages: a
          service with an account of its own, `rcc-relay`, for the group `rcc-agents`, to which
          [](#opt-services.rcc.users) belong. What it does is said in the settings, `relay`. Linux only.
        '';
      };
    };

    plugins = lib.mkOption {
      type = lib.types.attrsOf toml.type;
      default = { };
      example = {
        git = {
          version = 1;
          kind = "git";
          credentials.github.systemd = "github";
          hosts = [
            {
              name = "github.com";
              credential = "github";
            }
          ];
          push = {
            blocked_branches = [ "main" ];
            allowed_branches = [ "claude/*" ];
          };
        };
      };
      description = ''
        Plugins: tools that run outside of the agent's sandbox, with credentials that it never has. Each is
        the content of {file}`/etc/rcc/plugins/<name>.toml`, which `rcc plugin check` judges while the
        system is built. Programs are named by their path in the store, or by a name that the system has. On
        macOS nothing runs of them.
      '';
    };

    broker = {
      users = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        example = [ "alice" ];
        description = ''
          Those of [](#opt-services.rcc.users) whose broker for plugins the system starts, as
          `rcc-plugins@<name>.service`, and gives credentials that only root can read. Others' are started
          by their sandboxes. Linux only.
        '';
      };
      credentials = lib.mkOption {
        type = lib.types.attrsOf lib.types.str;
        default = { };
        example.github = "/run/secrets/github-token";
        description = ''
          Files of root's, by the name under which a plugin's credential has them: `systemd = "github"`.
          A path in the Nix store is refused, since everybody reads that. Linux only.
        '';
      };
    };

    # Modules declare what runs beside rcc here, once for both platforms. All of it runs as the user:
    # nothing of rcc's that takes requests runs as root.
    daemons = lib.mkOption {
      type = lib.types.attrsOf (
        lib.types.submodule {
          options = {
            description = lib.mkOption {
              type = lib.types.str;
              description = "What it does, in a few words.";
            };
            arguments = lib.mkOption {
              type = lib.types.listOf lib.types.str;
              example = [ "serve" ];
              description = "The arguments with which rcc becomes this daemon.";
            };
          };
        }
      );
      default = { };
      internal = true;
      description = "Daemons of the users' own sessions.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.rcc.settings.users = cfg.users;

    services.rcc.configFile =
      let
        text = toml.generate "rcc-settings.toml" (schema.prune cfg.settings);
      in
      pkgs.runCommand "rcc-config.toml" { nativeBuildInputs = [ checker ]; } ''
        HOME=$TMPDIR rcc config check --kind admin ${text}
        cp ${text} $out
      '';

    environment.systemPackages = [ cfg.package ];
    environment.etc = {
      "rcc/config.toml".source = cfg.configFile;
    }
    // lib.mapAttrs' (
      name: manifest: lib.nameValuePair "rcc/plugins/${name}.toml" { source = manifestOf name manifest; }
    ) cfg.plugins;

    assertions = [
      {
        assertion = !lib.any (lib.hasPrefix builtins.storeDir) (lib.attrValues cfg.broker.credentials);
        message = "services.rcc.broker.credentials names a file in the Nix store, which everybody reads: name one outside of it that root alone may read.";
      }
      {
        assertion = lib.allUnique cfg.users;
        message = "services.rcc.users names somebody twice: remove all but the first of `${toString cfg.users}`.";
      }
      {
        assertion = cfg.settings.users == cfg.users;
        message = "services.rcc.settings.users would name somebody without network identities: use services.rcc.users.";
      }
      {
        assertion = !(cfg.settings.profiles ? offline);
        message = "services.rcc.settings.profiles.offline: this profile has no network and takes no exceptions; choose another name.";
      }
      {
        assertion = !lib.hasPrefix builtins.storeDir (toString cfg.settings.relay.cluster.credentials);
        message = "services.rcc.settings.relay.cluster.credentials lies in the Nix store, which everybody reads: name a file outside of it that rcc-relay alone may read.";
      }
    ];
  };
}
