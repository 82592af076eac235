/* measure: what a server counts of its requests (stats.h), and their steps when they are traced. */
#include "server__.h"
#include <cognu/stats.h>
#include <stdio.h>

/* Upper ends of the histogram's buckets, powers of four: a memory access to a lock that waits. */
static const uint64_t bucket_us[] = {16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576};

static struct {
    uint64_t *requests[256], *errors, *received, *sent, *sessions, *leases, *fids, *conns;
    uint64_t *bucket[CG_COUNT(bucket_us)], *inf, *sum, *count;
} of;

static uint64_t *value(const char *fmt, const char *label)
{
    char name[CG_STATS_NAME_BYTES];
    snprintf(name, sizeof name, fmt, label);
    return cg_stats_value(name);
}

void ninep__measure_init(void)
{
    of.errors = value("cognu_9p_errors_total", "");
    of.received = value("cognu_9p_received_bytes_total", "");
    of.sent = value("cognu_9p_sent_bytes_total", "");
    of.sessions = value("cognu_9p_sessions", "");
    of.leases = value("cognu_9p_leases", "");
    of.fids = value("cognu_9p_fids", "");
    of.conns = value("cognu_9p_connections", "");
    for (size_t i = 0; i < CG_COUNT(bucket_us); i++) {
        char le[24];
        snprintf(le, sizeof le, "%llu", (unsigned long long)bucket_us[i]);
        of.bucket[i] = value("cognu_9p_request_microseconds_bucket{le=\"%s\"}", le);
    }
    of.inf = value("cognu_9p_request_microseconds_bucket{le=\"%s\"}", "+Inf");
    of.sum = value("cognu_9p_request_microseconds_sum", "");
    of.count = value("cognu_9p_request_microseconds_count", "");
}

static uint64_t *requests(uint8_t type)
{
    if (!of.requests[type]) {
        of.requests[type] =
            value("cognu_9p_requests_total{type=\"%s\"}", ninep_type_name(type, NINEP_DIALECT_NG));
    }
    return of.requests[type];
}

void ninep__measure_bytes(uint32_t received, uint32_t sent)
{
    *of.received += received;
    *of.sent += sent;
}

void ninep__measure_state(const struct ninep_server *s)
{
    *of.sessions = cg_map_count(&s->sessions);
    *of.leases = s->leases;
    *of.fids = s->fids;
    *of.conns = s->conn_count;
}

/* A standing watch and a lock that waits are not slow, so they are not in the histogram. */
void ninep__measure(const struct ninep__req *req, cg_err e)
{
    const struct ninep_server *s = req->session->server;
    uint64_t took = ninep__now(s) - req->begun_ns, us = took / 1000;
    ++*requests(req->pub.type);
    *of.errors += e != CG_OK;
    cg_stats_step(req->pub.trace, CG_LAYER_SERVER, took, e,
                  ninep_type_name(req->pub.type, NINEP_DIALECT_NG), s->name);
    ninep__measure_state(s);
    if (req->pub.type == NINEP_TWATCH || req->pub.type == NINEP_TLOCK) {
        return;
    }
    for (size_t i = 0; i < CG_COUNT(bucket_us); i++) {
        *of.bucket[i] += us <= bucket_us[i];
    }
    ++*of.inf;
    ++*of.count;
    *of.sum += us;
}
