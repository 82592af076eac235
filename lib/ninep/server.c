/* server: birth and death of a server, its tick and its status; the other files have the rest. */
#include "server__.h"
#include <string.h>

uint64_t ninep__now(const struct ninep_server *s)
{
    return s->cfg.env->now_ns(s->cfg.env->ctx);
}

static void set_default(uint32_t *v, uint32_t otherwise)
{
    *v = *v ? *v : otherwise;
}

static void set_config(struct ninep_server *s, const struct ninep_server_config *config)
{
    s->cfg = *config;
    set_default(&s->cfg.msize_max, NINEP__MSIZE);
    set_default(&s->cfg.slots_max, NINEP__SLOTS);
    set_default(&s->cfg.sessions_max, NINEP__SESSIONS);
    set_default(&s->cfg.fids_max, NINEP__FIDS);
    set_default(&s->cfg.leases_max, NINEP__LEASES);
    set_default(&s->cfg.lease_ms, NINEP__LEASE_MS);
    set_default(&s->cfg.linger_ms, NINEP__LINGER_MS);
    cg_assert(s->cfg.msize_max >= NINEP_FRAME_BYTES_MIN);
    cg_assert(s->cfg.msize_max <= NINEP_FRAME_BYTES_MAX && s->cfg.slots_max <= NINEP_SLOTS_MAX);
    if (s->cfg.linger_ms < s->cfg.lease_ms) {
        s->cfg.linger_ms = s->cfg.lease_ms; /* a session never ends before its leases */
    }
    s->cfg.env = s->cfg.env ? s->cfg.env : &cg_env_real;
    s->cfg.auth = s->cfg.auth ? s->cfg.auth : &ninep_auth_local;
}

cg_err ninep_server_new(const struct ninep_server_config *config, struct ninep_server **out)
{
    cg_assert(config->ops && config->ops->attach);
    struct ninep_server *s = cg_zalloc(sizeof *s);
    if (!s) {
        return CG_ENOMEM;
    }
    set_config(s, config);
    ninep__measure_init();
    s->name = cg_strdup(config->name ? config->name : "9p");
    if (!s->name || ninep__timer_reserve(s, 2) != CG_OK) {
        cg_free(s->name);
        cg_free(s);
        return CG_ENOMEM;
    }
    s->cfg.name = s->name;
    s->cfg.env->random(s->cfg.env->ctx, &s->epoch, sizeof s->epoch);
    s->epoch |= 1; /* never zero: that is a client's before its first session */
    cg_map_init(&s->sessions, 16);
    cg_map_init(&s->files, sizeof(struct ninep__key));
    cg_map_init(&s->lock_files, sizeof(struct ninep__key));
    cg_list_init(&s->session_list);
    cg_list_init(&s->conns);
    cg_list_init(&s->ready);
    cg_list_init(&s->breaking);
    cg_list_init(&s->lock_waiting);
    s->break_timer.fire = ninep__breaks_due;
    ninep__grace_begin(s);
    *out = s;
    return CG_OK;
}

void *ninep_server_aux(struct ninep_server *s)
{
    return s->cfg.aux;
}

void ninep__server_gone(struct ninep_server *s)
{
    if (!s->freeing || s->pumping || s->inflight > 0 || s->conn_count > 0) {
        return;
    }
    cg_assert(cg_map_count(&s->sessions) == 0 && cg_map_count(&s->files) == 0);
    cg_assert(cg_map_count(&s->lock_files) == 0 && s->fids == 0 && s->leases == 0);
    cg_map_fini(&s->sessions);
    cg_map_fini(&s->files);
    cg_map_fini(&s->lock_files);
    cg_free(s->timer);
    cg_free(s->name);
    cg_free(s);
}

/* The structure itself goes when the transport has closed the connections and the file server has
 * answered what it runs. */
void ninep_server_free(struct ninep_server *s)
{
    if (!s) {
        return;
    }
    s->conn_count++; /* holds it */
    s->stopping = true;
    CG_LIST_EACH (it, &s->session_list) {
        ninep__session_end(CG_CONTAINER(it, struct ninep_session, link));
    }
    for (uint32_t left = s->conn_count; left > 0 && !cg_list_empty(&s->conns); left--) {
        struct ninep_conn *c = CG_CONTAINER(s->conns.next, struct ninep_conn, link);
        cg_list_del(&c->link);
        ninep__conn_close(c, "the server stops");
    }
    ninep__pump(s);
    s->freeing = true;
    s->conn_count--;
    ninep__server_gone(s);
}

uint64_t ninep_server_tick(struct ninep_server *s)
{
    s->told_ns = 0;
    ninep__timers_run(s, ninep__now(s));
    ninep__pump(s);
    uint64_t next = ninep__timer_next(s);
    s->told_ns = next ? next : UINT64_MAX;
    return next;
}

void ninep_server_on_wake(struct ninep_server *s, void (*wake)(void *ctx), void *ctx)
{
    s->wake = wake;
    s->wake_ctx = ctx;
}

cg_err ninep_server_status(struct ninep_server *s, struct cg_str *out)
{
    CG_LIST_EACH (it, &s->session_list) {
        struct ninep_session *ss = CG_CONTAINER(it, struct ninep_session, link);
        char peer[80];
        ninep__peer_text(&ss->peer, peer, sizeof peer);
        cg_err e = cg_str_addf(out, "session %02x%02x%02x%02x %s %s user ", ss->id[0], ss->id[1],
                               ss->id[2], ss->id[3],
                               ss->foreign ? "foreign"
                               : ss->conn  ? "connected"
                                           : "lingering",
                               peer);
        e = e == CG_OK ? cg_str_add_quoted(out, ss->user) : e;
        e = e == CG_OK ? cg_str_addf(out, " fids %u leases %u locks %u inflight %u\n",
                                     cg_map_count(&ss->fids), ss->lease_count, ss->lock_count,
                                     ss->inflight)
                       : e;
        if (e != CG_OK) {
            return e;
        }
    }
    return CG_OK;
}
