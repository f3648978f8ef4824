// SPDX-License-Identifier: Apache-2.0
// The table of services. A line is the executable's basename (a `*` at the end stands for a version such as 8.2) and,
// for interpreters, a word that one of the first arguments must be, end with, or contain.
//
//   web        serves HTTP or runs the code behind it: an attacker's first foothold; strong
//   database   answers queries, can often be made to run commands; strong
//   ssh, console   where people log in; never denied by content at their login shell
//   cron       starts jobs
//   container  runtimes between the host and a container's first process
//   package    installs software; counted from ssh, console, cron and service lineages only, and only as root
//   agent      this program
// "service" (another unit of the init system), "kernel" and "none" are not names of programs: lineage.c gives them.
#include "enrich/role.h"

enum argument { NONE, WORD, SUFFIX, PART, MODULE };

struct role_line {
    const char *name;
    const char *role;
    enum argument how; // NONE: the name alone decides
    const char *argument;
};

static const struct role_line table[] = {
    {"nginx", "web"},
    {"angie", "web"},
    {"apache2", "web"},
    {"httpd", "web"},
    {"lighttpd", "web"},
    {"caddy", "web"},
    {"php-fpm*", "web"},
    {"php-cgi*", "web"},
    {"lsphp*", "web"},
    {"litespeed", "web"},
    {"openlitespeed", "web"},
    {"uwsgi*", "web"},
    {"gunicorn*", "web"},
    {"haproxy", "web"},
    {"traefik", "web"},
    {"fcgiwrap", "web"},
    {"mini-httpd", "web"},
    {"php*", "web", WORD, "-S"},
    {"php*", "web", SUFFIX, "/artisan"},
    {"python*", "web", MODULE, "http.server"},
    {"python*", "web", MODULE, "uvicorn"},
    {"python*", "web", MODULE, "gunicorn"},
    {"python*", "web", MODULE, "hypercorn"},
    {"python*", "web", MODULE, "waitress"},
    {"python*", "web", MODULE, "flask"},
    {"python*", "web", SUFFIX, "/gunicorn"},
    {"python*", "web", SUFFIX, "/uvicorn"},
    {"python*", "web", SUFFIX, "/hypercorn"},
    {"python*", "web", SUFFIX, "/waitress-serve"},
    {"python*", "web", SUFFIX, "/daphne"},
    {"python*", "web", WORD, "runserver"},
    {"ruby*", "web", SUFFIX, "/puma"},
    {"ruby*", "web", SUFFIX, "/unicorn"},
    {"ruby*", "web", SUFFIX, "/thin"},
    {"ruby*", "web", SUFFIX, "/rackup"},
    {"ruby*", "web", PART, "passenger"},
    {"perl*", "web", SUFFIX, "/starman"},
    {"perl*", "web", SUFFIX, "/plackup"},
    {"node*", "web", SUFFIX, "/http-server"},
    {"node*", "web", SUFFIX, "server.js"},
    {"node*", "web", SUFFIX, "/bin/www"},
    {"node*", "web", SUFFIX, "/next-server"},
    {"java", "web", PART, "org.apache.catalina"},
    {"java", "web", PART, "-Dcatalina.base="},
    {"java", "web", PART, "jetty"},
    {"java", "web", PART, "jboss"},
    {"java", "web", PART, "wildfly"},
    {"java", "web", PART, "weblogic"},
    {"java", "web", PART, "glassfish"},
    {"java", "web", PART, "spring-boot"},
    {"java", "web", PART, "jenkins.war"},
    {"java", "database", PART, "org.elasticsearch."},
    {"java", "database", PART, "cassandra"},
    {"postgres", "database"},
    {"mysqld", "database"},
    {"mariadbd", "database"},
    {"redis-server", "database"},
    {"valkey-server", "database"},
    {"mongod", "database"},
    {"memcached", "database"},
    {"clickhouse*", "database"},
    {"influxd", "database"},
    {"couchdb", "database"},
    {"sshd", "ssh"},
    {"sshd-session", "ssh"},
    {"sshd-auth", "ssh"},
    {"dropbear", "ssh"},
    {"cron", "cron"},
    {"crond", "cron"},
    {"anacron", "cron"},
    {"atd", "cron"},
    {"fcron", "cron"},
    {"containerd-shim*", "container"},
    {"runc", "container"},
    {"crun", "container"},
    {"docker-init", "container"},
    {"tini", "container"},
    {"conmon", "container"},
    {"dpkg", "package"},
    {"dpkg-deb", "package"},
    {"apt", "package"},
    {"apt-get", "package"},
    {"aptitude", "package"},
    {"unattended-upgrade*", "package"},
    {"python*", "package", SUFFIX, "/unattended-upgrade"},
    {"rpm", "package"},
    {"dnf*", "package"},
    {"yum", "package"},
    {"zypper", "package"},
    {"pacman", "package"},
    {"apk", "package"},
    {"snapd", "package"},
    {"agetty", "console"},
    {"getty", "console"},
    {"login", "console"},
    {"tierceld", "agent"},
};

// Arguments are looked at only this far: a server's own are near the front, and the rest may be an attacker's.
#define ARGUMENTS 64

static bool version_like(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || (c >= 'a' && c <= 'z')))
            return false;
    }
    return true;
}

static bool name_is(const char *pattern, struct str name)
{
    struct str p = str_from(pattern);
    if (p.n == 0 || p.p[p.n - 1] != '*')
        return str_eq(name, p);
    p.n--;
    return str_starts(name, p) && version_like((struct str){name.p + p.n, name.n - p.n});
}

static bool slash_suffix(struct str argument, struct str suffix)
{
    struct str bare = {suffix.p + 1, suffix.n - 1}; // "/puma" is also met as plain "puma"
    return str_ends(argument, suffix) || (suffix.p[0] == '/' && str_eq(argument, bare));
}

static bool argument_is(const struct role_line *line, const struct str *argv, size_t argc)
{
    struct str want = str_from(line->argument);
    for (size_t i = 1; i < argc && i < ARGUMENTS; i++) {
        // What follows -c or -e is a program's text, not the name of a server.
        if (str_eq(argv[i], STR("-c")) || str_eq(argv[i], STR("-e")) || str_eq(argv[i], STR("-r")))
            return false;
        if (line->how == WORD && str_eq(argv[i], want))
            return true;
        if (line->how == SUFFIX && slash_suffix(argv[i], want))
            return true;
        if (line->how == PART && str_find(argv[i], want) >= 0)
            return true;
        if (line->how == MODULE && str_eq(argv[i], want) && str_eq(argv[i - 1], STR("-m")))
            return true;
    }
    return false;
}

const char *role_of(struct str image, const struct str *argv, size_t argc)
{
    struct str name = str_basename(image);
    char first = name.n ? name.p[0]
                        : 0; // no line begins with `*`: most need no more than a look at one letter
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct role_line *line = &table[i];
        if (line->name[0] == first && name_is(line->name, name) &&
            (line->how == NONE || argument_is(line, argv, argc)))
            return line->role;
    }
    return NULL;
}

bool role_interpreter(struct str image)
{
    struct str name = str_basename(image);
    char first = name.n ? name.p[0] : 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].name[0] == first && name_is(table[i].name, name))
            return table[i].how != NONE; // php-fpm8.2 stands before php*
    return false;
}

bool role_system_path(struct str image)
{
    static const char *const folders[] = {
        "/usr/bin/",   "/usr/sbin/", "/usr/lib/",  "/usr/libexec/", "/usr/lib64/",
        "/usr/local/", "/bin/",      "/sbin/",     "/lib/",         "/lib64/",
        "/opt/",       "/snap/",     "/nix/store/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (str_starts(image, str_from(folders[i])))
            return true;
    return false;
}

bool role_strong(const char *role)
{
    return role && (strcmp(role, "web") == 0 || strcmp(role, "database") == 0);
}
