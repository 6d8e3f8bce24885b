# What the modules use of nixpkgs' lib, small enough to stand here: it reads their options and fills
# in defaults, so that they can be looked at on a machine without nixpkgs. It merges nothing and
# resolves no priorities: systems are evaluated by the flake's checks.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elem
    elemAt
    filter
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isString
    length
    listToAttrs
    mapAttrs
    toJSON
    ;

  # A type knows whether a value is its own, and completes one that is.
  simple = description: check: {
    inherit description check;
    fill = value: value;
  };

  # A choice of types is one thing in a description that goes on.
  of = inner: if inner ? alternatives then "(${inner.description})" else inner.description;

  between =
    kind: isNumber: low: high:
    simple "${kind} between ${toString low} and ${toString high}" (
      value: isNumber value && low <= value && value <= high
    );

  types = {
    bool = simple "boolean" isBool;
    str = simple "string" isString;
    package = simple "package" (_: true);
    ints.between = between "integer" isInt;
    numbers.between = between "number" (value: isInt value || isFloat value);
    enum =
      values: simple "one of ${concatStringsSep ", " (map toJSON values)}" (value: elem value values);

    nullOr = inner: {
      description = "null or ${inner.description}";
      check = value: value == null || inner.check value;
      fill = value: if value == null then null else lib.fill inner value;
      inherit inner;
    };
    listOf = inner: {
      description = "list of ${of inner}";
      check = isList;
      fill = map (lib.fill inner);
      inherit inner;
      step = "*";
    };
    attrsOf = inner: {
      description = "attribute set of ${of inner}";
      check = isAttrs;
      fill = mapAttrs (_: lib.fill inner);
      inherit inner;
      step = "<name>";
    };
    oneOf = alternatives: {
      inherit alternatives;
      description = concatStringsSep " or " (map (it: it.description) alternatives);
      check = value: builtins.any (it: it.check value) alternatives;
      fill = value: lib.fill (head (filter (it: it.check value) alternatives)) value;
    };
    submodule =
      {
        options,
        freeformType ? null,
      }:
      {
        description = "set";
        check = isAttrs;
        fill =
          value:
          (if freeformType == null then { } else lib.fill freeformType value)
          // mapAttrs (name: option: lib.fill option.type (value.${name} or option.default)) options;
        inherit options;
      };
  };

  lib = {
    inherit (builtins)
      all
      attrNames
      filter
      head
      length
      listToAttrs
      mapAttrs
      ;
    inherit types;

    fill =
      type: value:
      if type.check value then type.fill value else throw "${toJSON value} is not ${type.description}";

    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      lib.mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    mkIf = condition: content: if condition then content else { };
    literalMD = text: { inherit text; };

    nameValuePair = name: value: { inherit name value; };
    optionalAttrs = condition: set: if condition then set else { };
    filterAttrs =
      keep: set:
      listToAttrs (
        map (name: lib.nameValuePair name set.${name}) (
          filter (name: keep name set.${name}) (attrNames set)
        )
      );
    imap0 = f: list: builtins.genList (position: f position (elemAt list position)) (length list);
    importJSON = path: builtins.fromJSON (builtins.readFile path);
  };
in
lib
