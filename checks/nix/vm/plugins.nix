# A sandbox pushes to another machine's repository with a token that only root can read: its own branch
# is taken, `main` is refused, and the token is nowhere inside.
{
  nodes.server =
    {
      config,
      lib,
      pkgs,
      ...
    }:
    {
      services.rcc.enable = lib.mkForce false;
      networking.firewall.allowedTCPPorts = [ 443 ];
      users.users.git = {
        isSystemUser = true;
        group = "git";
      };
      users.groups.git = { };
      environment.systemPackages = [ pkgs.git ];

      # Certificate, password and repository are the test's own, and are made when it starts.
      services.nginx = {
        enable = true;
        virtualHosts.server = {
          onlySSL = true;
          sslCertificate = "/var/lib/git-server/cert.pem";
          sslCertificateKey = "/var/lib/git-server/key.pem";
          locations."/project.git/" = {
            basicAuthFile = "/var/lib/git-server/htpasswd";
            extraConfig = ''
              client_max_body_size 0;
              fastcgi_pass unix:${config.services.fcgiwrap.instances.git.socket.address};
              include ${pkgs.nginx}/conf/fastcgi_params;
              fastcgi_param SCRIPT_FILENAME ${pkgs.git}/libexec/git-core/git-http-backend;
              fastcgi_param GIT_PROJECT_ROOT /var/lib/git-server;
              fastcgi_param GIT_HTTP_EXPORT_ALL "";
              fastcgi_param PATH_INFO $uri;
              fastcgi_param REMOTE_USER $remote_user;
            '';
          };
        };
      };
      systemd.services.nginx = {
        requires = [ "git-server.service" ];
        after = [ "git-server.service" ];
      };
      services.fcgiwrap.instances.git = {
        process = {
          user = "git";
          group = "git";
        };
        socket = {
          inherit (config.services.nginx) user group;
        };
      };
      systemd.services.git-server = {
        path = [
          pkgs.apacheHttpd
          pkgs.git
          pkgs.openssl
        ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          StateDirectory = "git-server";
        };
        script = ''
          cd /var/lib/git-server
          openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
            -subj /CN=server -addext subjectAltName=IP:192.168.1.2
          htpasswd -bc htpasswd agent canary-5f0d2b7a
          git init --bare --initial-branch=main project.git
          git -C project.git config http.receivepack true
          chown -R git:git project.git
          chown nginx: key.pem htpasswd
        '';
      };
    };

  nodes.machine =
    { pkgs, ... }:
    {
      environment.systemPackages = [ pkgs.git ];
      services.rcc = {
        # The server, in the test's own network: machines have their addresses in the order of their names.
        settings.profiles.work.allow = [
          {
            address = "192.168.1.2";
            ports = [ 443 ];
          }
        ];
        plugins.git = {
          version = 1;
          kind = "git";
          profile = "work";
          credentials.server.systemd = "server";
          hosts = [
            {
              name = "192.168.1.2";
              credential = "server";
              user = "agent";
              ca = "/etc/rcc/server.pem";
            }
          ];
          push = {
            blocked_branches = [ "main" ];
            allowed_branches = [ "claude/*" ];
          };
        };
        broker = {
          users = [ "dev" ];
          credentials.server = "/etc/rcc/credentials/server";
        };
      };
      users.users.dev.linger = true;
    };

  testScript = ''
    server.wait_for_unit("nginx.service")
    machine.wait_for_unit("rcc-firewall.service")
    machine.wait_until_succeeds("rcc firewall status", timeout=20)

    certificate = server.succeed("cat /var/lib/git-server/cert.pem")
    machine.succeed(f"cat >/etc/rcc/server.pem <<'END'\n{certificate}END")
    machine.succeed("install -d -m 0700 /etc/rcc/credentials")
    machine.succeed("install -m 0600 /dev/stdin /etc/rcc/credentials/server <<<canary-5f0d2b7a")
    machine.succeed("systemctl restart rcc-plugins@dev.service")

    def as_dev(command):
        return f"su --login dev --command '{command}'"

    def inside(command):
        return as_dev(f"cd project && rcc run -- sh -c \"{command}\"")

    machine.succeed(as_dev(
        "git init --initial-branch=main project && cd project && git config user.name dev"
        " && git config user.email dev@example.org && git commit --allow-empty -m one"
        " && git remote add origin https://192.168.1.2/project.git"
    ))

    with subtest("a branch of the agent's own is pushed"):
        machine.succeed(inside("git push origin HEAD:claude/x"))
        server.succeed("git --git-dir=/var/lib/git-server/project.git -c safe.directory=* rev-parse claude/x")

    with subtest("main is refused as the server would refuse it, and does not come into being"):
        said = machine.fail(inside("git push origin HEAD:main 2>&1"))
        assert "remote rejected" in said and "protected by rcc" in said, said
        server.fail("git --git-dir=/var/lib/git-server/project.git -c safe.directory=* rev-parse main")

    with subtest("what was pushed is fetched"):
        machine.succeed(inside("git fetch origin && git rev-parse origin/claude/x"))

    with subtest("the token is nowhere inside"):
        machine.fail(inside("env | grep canary-5f0d || grep -rs canary-5f0d / -D skip --exclude-dir=dev --exclude-dir=proc --exclude-dir=sys"))

    with subtest("it is on record, and nobody but root reads the token's file"):
        said = machine.succeed(as_dev("rcc plugin logs git"))
        assert "claude/x" in said, said
        machine.fail(as_dev("cat /etc/rcc/credentials/server"))
  '';
}
