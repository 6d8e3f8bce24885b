{
  description = "Run coding agents with full permissions in a sandbox that they cannot loosen";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";
    nix-darwin = {
      url = "github:nix-darwin/nix-darwin";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      nix-darwin,
    }:
    let
      inherit (nixpkgs) lib;

      # The packages of this flake, by system. Unfree is Claude Code alone, by its name.
      packagesOf =
        lib.genAttrs
          [
            "x86_64-linux"
            "aarch64-linux"
            "aarch64-darwin"
          ]
          (
            system:
            import nixpkgs {
              inherit system;
              config.allowUnfreePredicate = package: lib.getName package == "claude-code";
              overlays = [ self.overlays.default ];
            }
          );
      eachSystem = build: lib.mapAttrs (_: build) packagesOf;

      # Containers are Linux everywhere: on a Mac they run in a virtual machine of its architecture.
      linuxOf = pkgs: packagesOf."${pkgs.stdenv.hostPlatform.parsed.cpu.name}-linux";
    in
    {
      overlays.default = final: _: { rcc = final.callPackage ./nix/package.nix { }; };

      packages = eachSystem (pkgs: {
        inherit (pkgs) rcc;
        default = pkgs.rcc;
        agent = pkgs.claude-code;
        image =
          let
            linux = linuxOf pkgs;
          in
          linux.callPackage ./nix/image.nix { agent = linux.claude-code; };
      });

      apps = eachSystem (
        pkgs:
        let
          app = description: program: {
            type = "app";
            inherit program;
            meta = { inherit description; };
          };
          command =
            name: arguments:
            "${pkgs.writeShellScript "rcc-${name}" ''exec ${lib.getExe pkgs.rcc} ${arguments} "$@"''}";
        in
        {
          default = app "rcc" (lib.getExe pkgs.rcc);
          claude = app "Claude Code in a sandbox of this project" (
            command "claude" "claude --program ${lib.getExe pkgs.claude-code}"
          );
          shell = app "A shell in a sandbox of this project" (command "shell" "shell");
          setup = app "What this machine lacks for sandboxes, and how to mend it" (command "setup" "setup");
        }
      );

      nixosModules = {
        rcc = ./modules/nixos.nix;
        default = ./modules/nixos.nix;
      };

      darwinModules = {
        rcc = ./modules/darwin.nix;
        default = ./modules/darwin.nix;
      };

      devShells = eachSystem (pkgs: {
        default = import ./nix/shell.nix { inherit pkgs; };
      });

      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);

      checks = eachSystem (
        pkgs:
        import ./checks/nix {
          inherit
            pkgs
            self
            nixpkgs
            nix-darwin
            ;
        }
      );
    };
}
