/* net: the files of the net server (README.md); conversations are in conv.c, names in names.c. */
#include "conv.h"
#include "names.h"

#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Each protocol has the same kinds, PER_PROTO apart. */
enum {
    OF_CLONE = 1,
    OF_CONV,
    OF_CTL,
    OF_DATA,
    OF_LISTEN,
    OF_LOCAL,
    OF_REMOTE,
    OF_STATUS,
    PER_PROTO
};
enum {
    KIND_ROOT,
    KIND_CS,
    KIND_DNS,
    KIND_TCP,
    KIND_UDP = KIND_TCP + PER_PROTO,
    KINDS = KIND_UDP + PER_PROTO
};
enum { WORDS_MAX = 4, LINE_BYTES = 256 };

static enum proto proto_of(const struct synth_handle *h)
{
    return h->kind >= synth_kind_of(h->synth, KIND_UDP) ? PROTO_UDP : PROTO_TCP;
}

static const struct synth_kind *kind_of(struct synth_handle *h, int of)
{
    int base = proto_of(h) == PROTO_UDP ? KIND_UDP : KIND_TCP;
    return synth_kind_of(h->synth, (uint16_t)(base + of));
}

static bool next_conv(enum proto proto, uint64_t *cursor, char name[SYNTH_NAME_BYTES], uint64_t *id)
{
    struct conv *c = conv_after(proto, *cursor);
    if (!c) {
        return false;
    }
    *cursor = *id = c->id;
    struct cg_str text = {0};
    bool ok = cg_str_addf(&text, "%llu", (unsigned long long)c->id) == CG_OK &&
              cg_span_str(cg_span_of(text.data), name, SYNTH_NAME_BYTES);
    cg_str_fini(&text);
    return ok;
}

static bool each_tcp(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                     uint64_t *id)
{
    (void)s;
    (void)dir;
    return next_conv(PROTO_TCP, cursor, name, id);
}

static bool each_udp(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                     uint64_t *id)
{
    (void)s;
    (void)dir;
    return next_conv(PROTO_UDP, cursor, name, id);
}

static cg_err find_conv(enum proto proto, const char *name, uint64_t *id)
{
    char *end;
    *id = strtoull(name, &end, 10);
    struct conv *c = name[0] >= '1' && name[0] <= '9' && !*end ? conv_by_id(*id) : NULL;
    return c && c->proto == proto ? CG_OK : CG_ENOENT;
}

static cg_err find_tcp(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    return find_conv(PROTO_TCP, name, id);
}

static cg_err find_udp(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    return find_conv(PROTO_UDP, name, id);
}

/* ---- opening and closing: an open handle holds its conversation ---- */

static void become_ctl(struct synth_handle *h, struct conv *c)
{
    h->kind = kind_of(h, OF_CTL);
    h->id = c->id;
    h->aux = c;
}

static cg_err open_clone(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    struct conv *c;
    cg_err e = conv_new(proto_of(h), h->fid->principal, &c);
    if (e) {
        return cg_fail(eb, e, "no more than %d conversations at once", CONVS_MAX);
    }
    become_ctl(h, c);
    return CG_OK;
}

static cg_err open_conv(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    struct conv *c = conv_by_id(h->id);
    if (!c) {
        return cg_fail(eb, CG_ESTALE, "the conversation is over");
    }
    conv_ref(c);
    h->aux = c;
    return CG_OK;
}

static void close_conv(struct synth_handle *h)
{
    conv_unref(h->aux);
}

static void open_listen(struct synth_handle *h, struct ninep_req *r)
{
    struct conv *c = conv_by_id(h->id);
    if (!c) {
        ninep_respond(r, cg_fail(&r->eb, CG_ESTALE, "the conversation is over"));
        return;
    }
    conv_listen(c, r);
}

static void accepted(struct ninep_req *r, struct conv *c)
{
    struct synth_handle *h = synth_handle_of(r->fid);
    become_ctl(h, c);
    synth_opened(h, r);
}

static uint64_t owner_of_conv(struct synth_handle *h)
{
    struct conv *c = conv_by_id(h->id);
    return c ? c->principal : h->fid->principal;
}

static void cancel_request(struct synth_handle *h, struct ninep_req *r)
{
    conv_cancel(h->aux, r);
}

/* ---- ctl, data ---- */

static cg_err text_of_ctl(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)eb;
    return cg_str_addf(out, "%llu\n", (unsigned long long)h->id);
}

static void write_ctl(struct synth_handle *h, struct ninep_req *r)
{
    char line[LINE_BYTES], *words[WORDS_MAX];
    struct conv *c = h->aux;
    int n =
        cg_span_str(r->t.write.data, line, sizeof line) ? cg_tokenize(line, words, WORDS_MAX) : -1;
    if (n == 2 && strcmp(words[0], "connect") == 0) {
        conv_connect(c, words[1], r);
        return;
    }
    cg_err e = CG_OK;
    if (n == 2 && strcmp(words[0], "announce") == 0) {
        e = conv_announce(c, words[1], &r->eb);
    } else if (n == 1 && strcmp(words[0], "hangup") == 0) {
        conv_hangup(c);
    } else {
        e = cg_fail(&r->eb, CG_EINVAL,
                    "ctl takes connect ADDRESS!PORT, announce ADDRESS!PORT or hangup");
    }
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

static void move_data(struct synth_handle *h, struct ninep_req *r)
{
    struct conv *c = h->aux;
    if (c->state != CONV_ESTABLISHED) {
        ninep_respond(r, cg_fail(&r->eb, CG_EINVAL, "the conversation is not connected"));
        return;
    }
    synth_stream_request(r->type == NINEP_TREAD ? &c->in : &c->out, r);
}

static cg_err text_of_address(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)eb;
    return conv_address(h->aux, h->kind == kind_of(h, OF_LOCAL), out);
}

static cg_err text_of_status(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)eb;
    return cg_str_addf(out, "%s\n", conv_state_name(h->aux));
}

/* ---- cs, dns: a query a handle ---- */

static void close_names(struct synth_handle *h)
{
    names_free(h->aux);
}

static void write_names(struct synth_handle *h, struct ninep_req *r)
{
    names_ask(h, r, h->kind == synth_kind_of(h->synth, KIND_CS));
}

static void cancel_names(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    names_cancel(r);
}

static cg_err text_of_names(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    return names_answer(h->aux, out, eb);
}

#define CONV_TEXT(base, file, fn)                                                                  \
    {                                                                                              \
        .parent = (base) + OF_CONV, .name = file, .mode = S_IFREG | 0444, .open = open_conv,       \
        .close = close_conv, .text = fn                                                            \
    }
#define PROTO_KINDS(base, file, each_fn, find_fn)                                                  \
    [base] = {.name = file, .mode = S_IFDIR | 0555},                                               \
    [(base) +                                                                                      \
        OF_CLONE] = {.parent = base, .name = "clone", .mode = S_IFREG | 0666, .open = open_clone}, \
    [(base) +                                                                                      \
        OF_CONV] = {.parent = base, .mode = S_IFDIR | 0555, .each = each_fn, .find = find_fn},     \
    [(base) + OF_CTL] = {.parent = (base) + OF_CONV,                                               \
                         .name = "ctl",                                                            \
                         .mode = S_IFREG | 0600,                                                   \
                         .owner = owner_of_conv,                                                   \
                         .open = open_conv,                                                        \
                         .close = close_conv,                                                      \
                         .text = text_of_ctl,                                                      \
                         .write = write_ctl,                                                       \
                         .cancel = cancel_request},                                                \
    [(base) + OF_DATA] = {.parent = (base) + OF_CONV,                                              \
                          .name = "data",                                                          \
                          .mode = S_IFREG | 0600,                                                  \
                          .owner = owner_of_conv,                                                  \
                          .qtype = NINEP_QTYPE_STREAM,                                             \
                          .open = open_conv,                                                       \
                          .close = close_conv,                                                     \
                          .read = move_data,                                                       \
                          .write = move_data,                                                      \
                          .cancel = cancel_request},                                               \
    [(base) + OF_LISTEN] = {.parent = (base) + OF_CONV,                                            \
                            .name = "listen",                                                      \
                            .mode = S_IFREG | 0600,                                                \
                            .owner = owner_of_conv,                                                \
                            .open_later = open_listen,                                             \
                            .cancel = cancel_request},                                             \
    [(base) + OF_LOCAL] = CONV_TEXT(base, "local", text_of_address),                               \
    [(base) + OF_REMOTE] = CONV_TEXT(base, "remote", text_of_address),                             \
    [(base) + OF_STATUS] = CONV_TEXT(base, "status", text_of_status)

#define NAMES_FILE(file)                                                                           \
    {                                                                                              \
        .name = file, .mode = S_IFREG | 0666, .close = close_names, .write = write_names,          \
        .cancel = cancel_names, .text = text_of_names                                              \
    }

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_CS] = NAMES_FILE("cs"),
    [KIND_DNS] = NAMES_FILE("dns"),
    PROTO_KINDS(KIND_TCP, "tcp", each_tcp, find_tcp),
    PROTO_KINDS(KIND_UDP, "udp", each_udp, find_udp),
};

int main(int argc, char **argv)
{
    cg_log_init("net");
    convs_init(uv_default_loop(), accepted);
    return synth_serve_main(argc, argv, "net", kinds, KINDS);
}
