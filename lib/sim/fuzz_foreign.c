/* fuzz_foreign: arbitrary bytes on connections that have agreed on 9P2000.L or 9P2000, of a server
 * with a file server in memory.
 *
 * The first byte of the input says the dialects of two connections. Then commands: raw bytes go
 * through the framer; framed ones are given a true header; shaped ones are well-formed requests of
 * either dialect with values that lead further; others cut and make the connection again, or let a
 * deferred request be done. COGNU_DIALECT=9P2000 or 9P2000.L leaves no choice of dialect.
 */
#include "foreign_hand.h"
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 512, COMMANDS_MAX = 300, PEERS = 2 };

static struct world w;
static struct abroad peer[PEERS];
static const char *dialect[PEERS];

static void raw(struct abroad *a, struct cg_buf *in)
{
    struct cg_span s = cg_get_span(in, cg_get_u8(in));
    for (size_t at = 0; at < s.len && a->conn;) {
        struct ninep_frame *f;
        size_t used;
        if (ninep_framer_feed(ninep_conn_framer(a->conn), s.data + at, s.len - at, &used, &f)) {
            abroad_cut(a);
            return;
        }
        at += used;
        if (f) {
            ninep_conn_frame(a->conn, f);
        }
    }
}

static void framed(struct abroad *a, struct cg_buf *in)
{
    uint8_t type = cg_get_u8(in), tag = cg_get_u8(in) & 31;
    uint16_t len = cg_get_u16(in) % BODY_MAX;
    struct cg_span body = cg_get_span(in, len < cg_buf_left(in) ? len : cg_buf_left(in));
    uint8_t bytes[NINEP_P_HEADER_BYTES + BODY_MAX];
    struct ninep_phead head = {.size = NINEP_P_HEADER_BYTES + body.len, .type = type, .tag = tag};
    struct cg_buf b = cg_buf_writer(bytes, sizeof bytes);
    ninep_put_phead(&b, &head);
    cg_put_bytes(&b, body.data, body.len);
    if (a->conn) {
        abroad_bytes(a, bytes, head.size);
    }
}

/* ---- well-formed requests ---- */

/* f a fid, g another, n a name, m another, and what numbers abroad_send packs: v is of the input,
 * 0 is a zero; the width follows. */
static const struct {
    uint8_t type;
    const char *fmt;
} forms[] = {
    {NINEP_P_TATTACH, "f~nn"},
    {NINEP_P_TWALK, "fgw1n"},
    {NINEP_P_TWALK, "fgw2nm"},
    {NINEP_P_TWALK, "fgw0"},
    {NINEP_P_TWALK, "fgw3nuu"},
    {NINEP_P_TOPEN, "fb"},
    {NINEP_P_TCREATE, "fnpb"},
    {NINEP_P_TREAD, "fod"},
    {NINEP_P_TWRITE, "foy"},
    {NINEP_P_TCLUNK, "f"},
    {NINEP_P_TREMOVE, "f"},
    {NINEP_P_TSTAT, "f"},
    {NINEP_P_TWSTAT, "fS"},
    {NINEP_P_TFLUSH, "t"},
    {NINEP_L_TATTACH, "f~nnd"},
    {NINEP_L_TLOPEN, "fd"},
    {NINEP_L_TLCREATE, "fnddd"},
    {NINEP_L_TSYMLINK, "fnmd"},
    {NINEP_L_TMKNOD, "fndddd"},
    {NINEP_L_TRENAME, "fgn"},
    {NINEP_L_TREADLINK, "f"},
    {NINEP_L_TGETATTR, "fq"},
    {NINEP_L_TSETATTR, "fddddoqqqq"},
    {NINEP_L_TXATTRWALK, "fgx"},
    {NINEP_L_TXATTRCREATE, "fxod"},
    {NINEP_L_TREADDIR, "fod"},
    {NINEP_L_TFSYNC, "f"},
    {NINEP_L_TLOCK, "flbooln"},
    {NINEP_L_TGETLOCK, "flooln"},
    {NINEP_L_TLINK, "fgn"},
    {NINEP_L_TMKDIR, "fndd"},
    {NINEP_L_TRENAMEAT, "fngm"},
    {NINEP_L_TUNLINKAT, "fnd"},
    {NINEP_L_TSTATFS, "f"},
};

static void put_name(struct cg_buf *b, const char *name)
{
    cg_put_u16(b, (uint16_t)strlen(name));
    cg_put_bytes(b, name, strlen(name));
}

/* A directory record that changes what the input's bits say. */
static void put_record(struct cg_buf *b, struct cg_buf *in)
{
    static const char *const names[] = {"", "f", "d", "g"};
    uint8_t bits = cg_get_u8(in);
    struct ninep_stat s = {.kind = UINT16_MAX,
                           .dev = UINT32_MAX,
                           .qid = {UINT8_MAX, UINT32_MAX, UINT64_MAX},
                           .mode = bits & 4 ? cg_get_u16(in) : UINT32_MAX,
                           .atime = UINT32_MAX,
                           .mtime = bits & 8 ? 1 : UINT32_MAX,
                           .length = bits & 16 ? cg_get_u8(in) : UINT64_MAX,
                           .name = cg_span_of(names[bits & 3])};
    uint16_t size = (uint16_t)ninep_size_stat(&s);
    cg_put_u16(b, size + 2);
    cg_put_u16(b, size);
    ninep_put_stat(b, &s);
}

static void put_bytes(struct cg_buf *b, struct cg_buf *in)
{
    uint8_t n = cg_get_u8(in) & 31;
    struct cg_span s = cg_get_span(in, n < cg_buf_left(in) ? n : cg_buf_left(in));
    cg_put_u32(b, s.len);
    cg_put_bytes(b, s.data, s.len);
}

/* The widths that a request's own values have: nearly all are small. */
static void put_value(struct cg_buf *b, char c, struct cg_buf *in)
{
    uint8_t v = cg_get_u8(in);
    static const uint32_t wide[] = {0x80000000u, UINT32_MAX, 0x10000, 0100644};
    switch (c) {
    case 'b':
    case 'l':
        cg_put_u8(b, v);
        break;
    case 'o':
        cg_put_u64(b, v == 255 ? UINT64_MAX : v == 254 ? UINT64_C(1) << 62 : v);
        break;
    case 'q':
        cg_put_u64(b, v);
        break;
    case 'p':
        cg_put_u32(b, v & 1 ? 0644 : 0x80000000u | 0755);
        break;
    default:
        cg_put_u32(b, v >= 252 ? wide[v & 3] : (uint32_t)v * (v & 1 ? 1 : 16));
    }
}

static void shaped(struct abroad *a, struct cg_buf *in)
{
    static const char *const names[] = {"f", "g", "d", "h"}, *const attrs[] = {"user.a", ""};
    uint8_t form = cg_get_u8(in) % CG_COUNT(forms), bits = cg_get_u8(in), tag = cg_get_u8(in) & 31;
    uint8_t bytes[1024];
    struct cg_buf b = cg_buf_writer(bytes, sizeof bytes);
    b.pos = NINEP_P_HEADER_BYTES;
    for (const char *c = forms[form].fmt; *c; c++) {
        if (*c == 'f' || *c == 'g') {
            cg_put_u32(&b, *c == 'f' ? bits & 7 : bits >> 3 & 7);
        } else if (*c == '~') {
            cg_put_u32(&b, NINEP_NOFID);
        } else if (*c == 'n' || *c == 'm') {
            put_name(&b, names[(*c == 'n' ? bits : cg_get_u8(in)) >> 6 & 3]);
        } else if (*c == 'u') {
            put_name(&b, "..");
        } else if (*c == 'x') {
            put_name(&b, attrs[bits >> 7]);
        } else if (*c == 'w') {
            cg_put_u16(&b, (uint16_t)(*++c - '0'));
        } else if (*c == 't') {
            cg_put_u16(&b, cg_get_u8(in) & 31);
        } else if (*c == 'y') {
            put_bytes(&b, in);
        } else if (*c == 'S') {
            put_record(&b, in);
        } else {
            put_value(&b, *c, in);
        }
    }
    struct cg_buf head = cg_buf_writer(bytes, NINEP_P_HEADER_BYTES);
    struct ninep_phead h = {.size = (uint32_t)b.pos, .type = forms[form].type, .tag = tag};
    ninep_put_phead(&head, &h);
    if (a->conn) {
        abroad_bytes(a, bytes, h.size);
    }
}

/* ---- commands ---- */

static void begin(uint32_t i)
{
    abroad_cut(&peer[i]);
    if (abroad_start(&peer[i], dialect[i])) {
        bool dotl = dialect[i][6] != 0;
        abroad_call(&peer[i], NINEP_P_TATTACH, dotl ? "ddssd" : "ddss", UINT64_C(0),
                    (uint64_t)NINEP_NOFID, "u", "", UINT64_C(0));
    }
}

static void run_one(uint8_t which)
{
    uint32_t i = w.waitings ? which % w.waitings : 0;
    if (w.waitings && w.waiting[i]) {
        world_run(&w, i);
    }
    while (w.waitings > 0 && !w.waiting[w.waitings - 1]) {
        w.waitings--;
    }
}

static void run_all(void)
{
    for (uint32_t i = 0; i < w.waitings; i++) {
        if (w.waiting[i]) {
            world_run(&w, i);
        }
    }
    w.waitings = 0;
}

static void command(struct cg_buf *in)
{
    uint8_t c = cg_get_u8(in);
    struct abroad *a = &peer[c >> 7];
    w.defer = c & 0x40 && w.waitings < HAND_REPLIES_MAX / 2;
    switch (c & 7) {
    case 0:
        raw(a, in);
        break;
    case 1:
        w.defer = false;
        begin(c >> 7);
        break;
    case 2:
        run_one(cg_get_u8(in));
        break;
    case 3:
        framed(a, in);
        break;
    default:
        shaped(a, in);
    }
    abroad_forget(&peer[0]);
    abroad_forget(&peer[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cg_buf in = cg_buf_reader(data, len);
    const char *only = getenv("COGNU_DIALECT");
    uint8_t bits = cg_get_u8(&in);
    setenv("COGNU_LOG", "error", 1);
    cg_log_init("fuzz");
    world_init(&w);
    abroad_world(&w);
    if (bits & 0x40) {
        w.ops.cancel = NULL;
    }
    world_start(&w);
    for (uint32_t i = 0; i < PEERS; i++) {
        dialect[i] = only ? only : bits >> i & 1 ? "9P2000" : "9P2000.L";
        abroad_init(&peer[i], &w);
        begin(i);
    }
    for (uint32_t i = 0; i < COMMANDS_MAX && cg_buf_left(&in) > 0; i++) {
        command(&in);
    }
    w.defer = false;
    if (bits & 0x80) { /* the last answers come after the server's end */
        ninep_server_free(w.server);
        w.server = NULL;
        run_all();
    }
    for (uint32_t i = 0; i < PEERS; i++) {
        abroad_fini(&peer[i]);
    }
    run_all();
    abroad_world_fini(&w);
    return 0;
}
