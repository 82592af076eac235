/* fuzz_server: arbitrary bytes against a connection of a server with a file server in memory.
 *
 * The input is a row of commands: a byte that says what happens, then what it needs. Raw bytes go
 * through the framer as they come; a framed command is given a true header, a shaped one is a
 * well-formed request, so that what stands behind the codec is reached; others cut and resume the
 * connection, let time go by, and let deferred requests be done. Two sessions share the server, so
 * that leases and locks meet.
 */
#include "server_hand.h"
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 512, COMMANDS_MAX = 200 };

static struct world w;
static struct hand hand[2];

static void raw(struct hand *h, struct cg_buf *in)
{
    struct cg_span s = cg_get_span(in, cg_get_u8(in));
    for (size_t at = 0; at < s.len && h->conn;) {
        struct ninep_frame *f;
        size_t used;
        if (ninep_framer_feed(ninep_conn_framer(h->conn), s.data + at, s.len - at, &used, &f)) {
            hand_cut(h);
            return;
        }
        at += used;
        if (f) {
            ninep_conn_frame(h->conn, f);
        }
    }
}

static void framed(struct hand *h, struct cg_buf *in)
{
    uint8_t type = cg_get_u8(in), tag = cg_get_u8(in) % HAND_SLOTS, bits = cg_get_u8(in);
    uint16_t len = cg_get_u16(in) % BODY_MAX;
    struct cg_span body = cg_get_span(in, len < cg_buf_left(in) ? len : cg_buf_left(in));
    uint8_t bytes[NINEP_T_HEADER_BYTES + BODY_MAX];
    struct ninep_thead head = {.size = NINEP_T_HEADER_BYTES + body.len,
                               .type = type,
                               .tag = tag,
                               .flags = bits & 3,
                               .chain = bits >> 2 & 3,
                               .deadline_ms = bits & 0x10 ? 100 : 0,
                               .seq = h->seq[tag] + !(bits & 0x80)};
    struct cg_buf b = cg_buf_writer(bytes, sizeof bytes);
    ninep_put_thead(&b, &head);
    cg_put_bytes(&b, body.data, body.len);
    h->seq[tag] = head.seq;
    if (h->conn) {
        hand_bytes(h, bytes, head.size);
    }
}

/* ---- well-formed requests, with values that are likely to lead further ---- */

struct choice {
    uint8_t a, b;
    uint32_t small;
    struct cg_span name, other, data;
    uint8_t list[NINEP_RELEASE_BYTES];
    struct cg_buf list_buf;
};

static void choose(struct choice *c, struct cg_buf *in)
{
    static const char *const names[] = {"f", "g", "d", "h"};
    c->a = cg_get_u8(in);
    c->b = cg_get_u8(in);
    c->small = cg_get_u16(in);
    c->name = cg_span_of(names[c->a >> 4 & 3]);
    c->other = cg_span_of(names[c->a >> 6]);
    c->data = cg_get_span(in, (c->b & 15) < cg_buf_left(in) ? c->b & 15 : 0);
    c->list_buf = cg_buf_writer(c->list, sizeof c->list);
}

static bool shape_file(uint8_t type, struct choice *c, union ninep_tmsg *t)
{
    uint8_t b = c->b;
    switch (type) {
    case NINEP_TWALK:
        t->walk.newfid = b & 7;
        t->walk.want = b >> 4;
        t->walk.inline_max = c->small;
        t->walk.names.count = b >> 3 & 1;
        t->walk.names.name[0] = c->name;
        return true;
    case NINEP_TOPEN:
        t->open.flags = (b & 3) | (b & 4 ? NINEP_OPEN_TRUNC : 0);
        t->open.want = b >> 4;
        t->open.inline_max = c->small;
        return true;
    case NINEP_TREAD:
        t->read.count = c->small;
        return true;
    case NINEP_TREADDIR:
        t->readdir.count = c->small;
        t->readdir.want = b >> 4;
        t->readdir.inline_max = c->small;
        t->readdir.cookie = b & 15;
        return true;
    case NINEP_TWRITE:
        t->write.offset = c->small;
        t->write.data = c->data;
        return true;
    case NINEP_TGETATTR:
        t->getattr.want = b & 1;
        return true;
    case NINEP_TSETATTR:
        t->setattr.valid = NINEP_SETATTR_SIZE;
        t->setattr.size = c->small;
        return true;
    default:
        return false;
    }
}

static bool shape_name(uint8_t type, struct choice *c, union ninep_tmsg *t)
{
    uint8_t b = c->b;
    switch (type) {
    case NINEP_TCREATE:
        t->create.newfid = b & 8 ? NINEP_NOFID : b & 7;
        t->create.flags = c->small & (NINEP_OPEN_EXCL | NINEP_OPEN_TRUNC | 3);
        t->create.mode = b & 0x40 ? 0040755 : 0100644;
        t->create.want = b >> 4;
        t->create.name = c->name;
        return true;
    case NINEP_TRENAME:
        t->rename.newfid = b & 7;
        t->rename.flags = b >> 6;
        t->rename.name = c->name;
        t->rename.newname = c->other;
        return true;
    case NINEP_TREMOVE:
        t->remove.flags = b & 1 ? NINEP_REMOVEFLAG_DIR : 0;
        t->remove.name = c->name;
        return true;
    case NINEP_TLINK:
        t->link.dirfid = b & 7;
        t->link.name = c->name;
        return true;
    case NINEP_TPUT:
        t->put.name = c->name;
        t->put.data = c->other;
        return true;
    default:
        return false;
    }
}

static bool shape_session(uint8_t type, struct choice *c, union ninep_tmsg *t)
{
    struct ninep_release rel = {.number = c->b, .id = {.volume = 1, .file = c->a & 7}};
    switch (type) {
    case NINEP_TLOCK:
        t->lock.kind = c->b & 1;
        t->lock.type = c->b >> 1 & 3;
        t->lock.flags = c->b >> 3 & 1;
        t->lock.owner = c->b >> 4 & 1;
        t->lock.start = c->small & 15;
        t->lock.length = c->small >> 4 & 15;
        return true;
    case NINEP_TCLUNK:
        cg_put_u32(&c->list_buf, c->a & 7);
        t->clunk.fids = (struct ninep_list){.count = 1, .body = {.data = c->list, .len = 4}};
        return true;
    case NINEP_TRELEASE:
        ninep_put_release(&c->list_buf, &rel);
        t->release.leases =
            (struct ninep_list){.count = 1, .body = {.data = c->list, .len = sizeof c->list}};
        return true;
    case NINEP_TWATCH:
        t->watch.seen = c->b;
        return true;
    case NINEP_TCANCEL:
        t->cancel.oldtag = c->b;
        t->cancel.oldseq = c->small & 15;
        return true;
    default:
        return false;
    }
}

static void shaped(struct hand *h, struct cg_buf *in)
{
    uint8_t type = (uint8_t)(NINEP_TATTACH + 2 * (cg_get_u8(in) % 26));
    uint8_t tag = cg_get_u8(in), bits = cg_get_u8(in);
    union ninep_tmsg t;
    struct choice c;
    memset(&t, 0, sizeof t);
    choose(&c, in);
    t.read.fid = c.a & 7; /* the first field of nearly all */
    if (!shape_file(type, &c, &t) && !shape_name(type, &c, &t) && !shape_session(type, &c, &t)) {
        return;
    }
    struct ninep_thead head = {.type = type,
                               .tag = type == NINEP_TCANCEL ? NINEP_VERSION_TAG : tag % HAND_SLOTS,
                               .flags = bits & 3,
                               .chain = bits >> 2 & 3,
                               .deadline_ms = bits & 0x10 ? 100 : 0};
    head.seq = h->seq[tag % HAND_SLOTS] += !(bits & 0x80);
    if (h->conn) {
        hand_send_with(h, &head, &t);
    }
}

static void forget(struct hand *h)
{
    for (uint32_t i = 0; i < h->replies; i++) {
        ninep_frame_free(h->reply[i].frame);
    }
    h->replies = 0;
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

static void command(struct cg_buf *in)
{
    uint8_t c = cg_get_u8(in);
    struct hand *h = &hand[c >> 7];
    w.defer = c & 0x40 && w.waitings < HAND_REPLIES_MAX / 2;
    switch (c & 7) {
    case 0:
        raw(h, in);
        break;
    case 1:
        hand_cut(h);
        break;
    case 2:
        hand_cut(h);
        hand_resume(h);
        break;
    case 3:
        world_pass(&w, 1U << (c >> 3 & 7) << 4);
        break;
    case 4:
        run_one(cg_get_u8(in));
        break;
    case 5:
        framed(h, in);
        break;
    default:
        shaped(h, in);
    }
    forget(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    setenv("COGNU_LOG", "error", 1);
    struct cg_buf in = cg_buf_reader(data, len);
    cg_log_init("fuzz");
    world_init(&w);
    w.config.linger_ms = 3000;
    if (cg_get_u8(&in) & 1) {
        w.ops.cancel = NULL;
    }
    world_start(&w);
    for (int i = 0; i < 2; i++) {
        hand_init(&hand[i], &w);
        hand_start(&hand[i]);
    }
    hand_create(&hand[0], 0, 1, "f", 0644, NINEP_OPEN_RDWR);
    hand_walk(&hand[1], 0, 1, "f", NULL);
    hand_open(&hand[1], 1, NINEP_OPEN_RDWR);
    for (int n = 0; n < COMMANDS_MAX && cg_buf_left(&in) > 0; n++) {
        command(&in);
    }
    w.defer = false;
    for (uint32_t i = 0; i < w.waitings; i++) {
        if (w.waiting[i]) {
            world_run(&w, i);
        }
    }
    hand_fini(&hand[0]);
    hand_fini(&hand[1]);
    world_fini(&w);
    return 0;
}
