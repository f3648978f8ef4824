// SPDX-License-Identifier: Apache-2.0
// `tiercel-hub metrics`: the hub in Prometheus' text format, for node_exporter's textfile collector. Names of clients
// and outputs are a-z, 0-9 and '-': labels need no escaping. Counters begin anew with core, as Prometheus expects.
#include "base/cleanup.h"
#include "hub/commands.h"
#include "hub/outputs.h"
#include "hub/state.h"
#include "store/registry.h"
#include <dirent.h>
#include <errno.h>

static void family(const char *name, const char *type, const char *help)
{
    printf("# HELP tiercel_hub_%s %s\n# TYPE tiercel_hub_%s %s\n", name, help, name, type);
}

static json_t *object_of(const char *state, const char *file)
{
    _cleanup_buf_ struct buf text = {0};
    struct error unused = {0};
    return hub_file_read(state, file, &text, &unused) == 0 ? json_loadb(text.p, text.n, 0, NULL)
                                                           : NULL;
}

static void print_counters(const char *state)
{
    json_t *counters = object_of(state, "counters.json"), *value;
    const char *key;
    json_object_foreach(counters, key, value)
    {
        if (!json_is_integer(value))
            continue;
        char name[64];
        snprintf(name, sizeof name, "%.40s_total", key);
        family(name, "counter", "Since core was started; see doc/hub.md.");
        printf("tiercel_hub_%s %lld\n", name, (long long)json_integer_value(value));
    }
    json_decref(counters);
}

static int print_client(void *context, const struct registry_client *c)
{
    (void)context;
    printf("tiercel_hub_hosts{client=\"%s\",state=\"enrolled\"} %llu\n"
           "tiercel_hub_hosts{client=\"%s\",state=\"revoked\"} %llu\n",
           c->name, (unsigned long long)(c->hosts - c->revoked), c->name,
           (unsigned long long)c->revoked);
    return 0;
}

static void print_outputs(const char *state, const char *key, const char *name, const char *type,
                          const char *help)
{
    char path[HUB_PATH_MAX + 64], file[128];
    snprintf(path, sizeof path, "%s/outputs", state);
    DIR *folder = opendir(path);
    family(name, type, help);
    for (struct dirent *d; folder && (d = readdir(folder));) {
        if (!pki_client_good(str_from(d->d_name)))
            continue;
        snprintf(file, sizeof file, "outputs/%.64s/state.json", d->d_name);
        json_t *o = object_of(state, file);
        if (o)
            printf("tiercel_hub_%s{output=\"%s\"} %lld\n", name, d->d_name,
                   (long long)json_integer_value(json_object_get(o, key)));
        json_decref(o);
    }
    if (folder)
        closedir(folder);
}

int command_metrics(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], file[HUB_PATH_MAX + 32];
    struct registry *registry = NULL;
    int r = hub_state_enter(o->state, state, e);
    if (r < 0)
        return r;
    snprintf(file, sizeof file, "%s/hub.db", state);
    r = registry_open(file, false, &registry, e);
    struct error unused = {0};
    _cleanup_close_ int lock = hub_state_lock(state, &unused);
    if (r == 0) {
        family("up", "gauge", "1 while the hub runs.");
        printf("tiercel_hub_up %d\n", lock == -EBUSY);
        family("hosts", "gauge", "Hosts of a client.");
        r = registry_client_each(registry, print_client, NULL, e);
    }
    registry_close(registry);
    if (r < 0)
        return r;
    print_counters(state);
    print_outputs(state, "delivered", "output_delivered_total", "counter", "Lines delivered.");
    print_outputs(state, "dropped", "output_dropped_total", "counter", "Lines dropped.");
    print_outputs(state, "waiting", "output_waiting", "gauge", "Lines in the queue.");
    return 0;
}
