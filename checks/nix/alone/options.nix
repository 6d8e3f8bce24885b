# The modules' options and what the settings become, as plain data.
let
  lib = import ./lib.nix;

  toml = {
    description = "TOML value";
    check = builtins.isAttrs;
    fill = value: value;
  };
  pkgs = {
    formats.toml = _: { type = toml; };
    callPackage = _: _: null;
    container = null;
    orbstack = null;
  };

  schema = import ../../../modules/schema.nix { inherit lib pkgs; };

  # The options that a module and its imports declare.
  declared =
    path:
    let
      module = import path {
        inherit lib pkgs;
        config = throw "an option depends on the configuration";
        utils = throw "an option depends on the system's utilities";
      };
      others = map declared (module.imports or [ ]);
    in
    builtins.foldl' (all: options: all // options) (module.options.services.rcc or { }) others;

  # One row for each option that is not internal, those of submodules behind theirs.
  rows =
    name: option:
    if option._type or null != "option" then
      nested name option
    else if option.internal or false then
      [ ]
    else
      [
        {
          inherit name;
          inherit (option) description;
          type = option.type.description;
          default = option.defaultText.text or (builtins.toJSON option.default);
          example = if option ? example then builtins.toJSON option.example else null;
        }
      ]
      ++ below name option.type;

  nested =
    name: options:
    builtins.concatMap (key: rows "${name}.${key}" options.${key}) (builtins.attrNames options);

  below =
    name: type:
    if type ? options then
      nested name type.options
    else if type ? inner then
      below (if type ? step then "${name}.${type.step}" else name) type.inner
    else
      [ ];

  # A file in which every key of the schema stands that has an example.
  examples =
    type:
    builtins.listToAttrs (
      builtins.filter (pair: pair.value != null) (
        map (key: {
          inherit (key) name;
          value = key.example or key.default or (if key.type ? table then examples key.type else null);
        }) type.table
      )
    );

  identities = import ../../../modules/identities.nix;
in
{
  options = {
    nixos = nested "services.rcc" (declared ../../../modules/nixos.nix);
    darwin = nested "services.rcc" (declared ../../../modules/darwin.nix);
  };

  rendered = builtins.mapAttrs (_: settings: schema.prune (lib.fill schema.type settings)) {
    empty = { };
    examples = examples (lib.importJSON ../../../modules/settings.json);
    lists = {
      profiles.allowlist.allow = [
        {
          domain = "git.corp.example";
          ports = [ 22 ];
        }
      ];
      profiles.narrow = {
        default = "deny";
        groups = [
          "claude"
          "internal"
        ];
        names = [
          "docs.example.com"
          { name = "*.example.com"; }
          {
            name = "mirror.example.com";
            ports = [
              80
              443
            ];
          }
        ];
      };
      groups.internal.names = [ "registry.example.com" ];
    };
    mixed.profiles.work.names = [ "docs.example.com" ];
    unknown.profile = { };
    badly.network.private = [ "10.1.2.3/8" ];
  };

  # What the types refuse by themselves.
  refused =
    builtins.mapAttrs
      (_: settings: !(builtins.tryEval (builtins.deepSeq (lib.fill schema.type settings) null)).success)
      {
        default.profiles.work.default = "allow";
        range.limits.pids = -1;
        kind.users = "alice";
        choice.profiles.work.allow = [ { protocol = "sctp"; } ];
      };

  # The example of the plugins.
  manifests = (declared ../../../modules/nixos.nix).plugins.example;

  identities = {
    inherit (identities) blockStart length usersMax;
    third = identities.start 2;
  };
}
