# The schema of /etc/rcc/config.toml as option types. `settings.json` is rcc's own description of
# what its reader takes, so that no key is written down twice.
{ lib, pkgs }:
let
  inherit (lib) types;

  # Keys that this schema does not know are left to `rcc config check`, which suggests what was meant.
  freeform = (pkgs.formats.toml { }).type;

  named = {
    bool = types.bool;
    string = types.str;
    path = types.str;
  };

  built = {
    int = { min, max }: types.ints.between min max;
    number = { min, max }: types.numbers.between min max;
    enum = types.enum;
    list = inner: types.listOf (type inner);
    any = alternatives: types.oneOf (map type alternatives);
    map = inner: types.attrsOf (type inner);
    table = keys: types.submodule (table keys);
  };

  # A type is a name, or one name with its argument.
  type =
    description:
    if builtins.isString description then
      named.${description}
    else
      let
        name = lib.head (lib.attrNames description);
      in
      built.${name} description.${name};

  isTable = description: builtins.isAttrs description && description ? table;

  # A table is always there, so that its keys have a place; any other key without a default is null
  # until it is set, and not rendered.
  option =
    key:
    lib.mkOption (
      {
        inherit (key) description;
        type = if key ? default || isTable key.type then type key.type else types.nullOr (type key.type);
        default = key.default or (if isTable key.type then { } else null);
      }
      // lib.optionalAttrs (key ? example) { inherit (key) example; }
    );

  table = keys: {
    freeformType = freeform;
    options = lib.listToAttrs (map (key: lib.nameValuePair key.name (option key)) keys);
  };

  prune =
    value:
    if builtins.isAttrs value then
      lib.mapAttrs (_: prune) (lib.filterAttrs (_: inner: inner != null) value)
    else if builtins.isList value then
      map prune value
    else
      value;
in
{
  # The type of the whole file.
  type = type (lib.importJSON ./settings.json);

  # What is to be rendered: values without the keys that were not set.
  inherit prune;
}
