/* init's own files, for local processes:
 *
 *   components   one line each: NAME STATE PID STARTS [WHY]
 *                STATE: running, waiting (to be started again), stopped, absent (not installed)
 *   ctl          write: start NAME, stop NAME, restart NAME; for root only
 */
#include "init.h"

#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { KIND_ROOT, KIND_COMPONENTS, KIND_CTL, KINDS };
enum { LINE_BYTES_MAX = 256, WORDS_MAX = 3 };

static cg_err components_text(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    static const char *const name[] = {
        [COMPONENT_ABSENT] = "absent",
        [COMPONENT_WAITING] = "waiting",
        [COMPONENT_RUNNING] = "running",
        [COMPONENT_STOPPED] = "stopped",
    };
    struct init *in = synth_aux(h->synth);
    cg_err e = CG_OK;
    (void)eb;
    for (uint32_t i = 0; i < in->components && e == CG_OK; i++) {
        const struct component *c = &in->component[i];
        e = cg_str_addf(out, "%s %s %d %u", c->manifest.name, name[c->state], (int)c->pid,
                        c->starts);
        if (e == CG_OK && c->why[0] != '\0') {
            e = cg_str_add(out, " ", 1);
            e = e != CG_OK ? e : cg_str_add_quoted(out, c->why);
        }
        e = e != CG_OK ? e : cg_str_add(out, "\n", 1);
    }
    return e;
}

static cg_err command(struct init *in, const char *verb, const char *name, struct cg_errbuf *eb)
{
    struct component *c = component_by_name(in, name);
    if (c == NULL) {
        return cg_fail(eb, CG_ENOENT, "%s is no component here; see components", name);
    }
    if (c->state == COMPONENT_ABSENT) {
        return cg_fail(eb, CG_ENOENT, "%s is not installed: %s", name, c->why);
    }
    if (strcmp(verb, "start") == 0) {
        component_want(c);
    } else if (strcmp(verb, "stop") == 0) {
        component_stop(c);
    } else if (strcmp(verb, "restart") == 0) {
        component_stop(c);
        component_want(c);
    } else {
        return cg_fail(eb, CG_EINVAL, "'%s': say start, stop or restart, and a component", verb);
    }
    return CG_OK;
}

static cg_err ctl_line(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    char line[LINE_BYTES_MAX], *word[WORDS_MAX];
    const uint64_t local_root = 1ull << 63; /* ninep_auth_local: local users by their uid */
    if (h->fid->principal != local_root) {
        return cg_fail(eb, CG_EPERM, "only the node's root starts and stops components");
    }
    if (!cg_span_str(data, line, sizeof line) || cg_tokenize(line, word, WORDS_MAX) != 2) {
        return cg_fail(eb, CG_EINVAL, "say start, stop or restart, and a component");
    }
    return command(synth_aux(h->synth), word[0], word[1], eb);
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_COMPONENTS] = {.name = "components", .mode = S_IFREG | 0444, .text = components_text},
    [KIND_CTL] = {.name = "ctl", .mode = S_IFREG | 0200, .line = ctl_line},
};

cg_err init_serve(struct init *in, struct cg_errbuf *eb)
{
    struct synth *s = NULL;
    int fd = -1;
    cg_err e = init_listen("/run/cognu/srv/init", SOCK_STREAM, &fd, eb);
    if (e == CG_OK) {
        e = synth_new(kinds, KINDS, &cg_env_real, in, &s);
    }
    struct ninep_server_config config = {.name = "init",
                                         .ops = &synth_ops,
                                         .aux = s,
                                         .env = &cg_env_real,
                                         .auth = &ninep_auth_local};
    struct ninep_server *server = NULL;
    struct ninep_listener *listener = NULL;
    if (e == CG_OK) {
        e = ninep_server_new(&config, &server);
    }
    if (e == CG_OK) {
        e = ninep_uv_server_start(&in->loop, server);
    }
    if (e == CG_OK) {
        e = ninep_uv_listen(&in->loop, server, fd, false, &listener, eb);
    }
    return e; /* they live as long as the process */
}
