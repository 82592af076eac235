/* talk: two gates show each other their rosters, each as its own node sealed it.
 *
 * "roster BYTES\n" and the bytes, both ways at once; to a joiner only from the inviter. Whoever has
 * all that he waits for, and has sent all, says goodbye.
 */
#include "gate.h"

#include <stdio.h>
#include <string.h>

void talk_start(struct link *l, bool send, bool receive)
{
    struct gate *g = l->gate;
    char line[LINE_BYTES_MAX];

    l->state = LINK_TALK;
    g->talks++;
    l->talked = !receive;
    l->talk_serial = send ? g->sealed_serial : 0;
    link_set_deadline(l, ANSWER_MS);
    if (send) {
        int n = snprintf(line, sizeof(line), "roster %zu\n", g->sealed.len);
        if (!link_send(l, line, (size_t)n) || !link_send(l, g->sealed.data, g->sealed.len)) {
            return;
        }
    }
    talk_input(l);
}

static void finish(struct link *l)
{
    struct gate *g = l->gate;
    struct peer *p = l->purpose == FOR_JOIN ? NULL : peer_get(g, l->key);

    if (p != NULL && l->talk_serial > 0) {
        p->told = l->talk_serial;
        p->next_talk_ms = gate_now_ms() + TALK_EVERY_MS;
        p->retry_ms = 0;
    }
    link_finish(l, CG_OK, "");
    link_drain(l);
}

static void received(struct link *l, const char *text, size_t len)
{
    struct cg_errbuf eb = {0};
    cg_err e;

    if (l->purpose == FOR_JOIN) {
        e = cell_adopt(l->gate, text, len, l->invite->cell, l->key, &eb);
    } else {
        e = cell_receive(l->gate, text, len, l->key, &eb);
    }
    if (l->state != LINK_TALK) {
        return; /* what was received has removed the peer */
    }
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return;
    }
    l->talked = true;
}

/* Uses l->in when the roster in it is whole. */
static void take_roster(struct link *l)
{
    char line[LINE_BYTES_MAX];
    size_t bytes = 0;
    const char *end = l->in.len == 0 ? NULL : memchr(l->in.data, '\n', l->in.len);
    size_t head = end == NULL ? 0 : (size_t)(end - l->in.data) + 1;
    if (head == 0 ? l->in.len >= LINE_BYTES_MAX : head > LINE_BYTES_MAX) {
        link_fail(l, CG_EPROTO, "no roster line");
        return;
    }
    if (head == 0) {
        return;
    }
    memcpy(line, l->in.data, head - 1);
    line[head - 1] = '\0';
    if (line_parse_roster(line, &bytes) != CG_OK || l->in.len > head + bytes) {
        link_fail(l, CG_EPROTO, "a malformed roster line");
    } else if (l->in.len == head + bytes) {
        received(l, l->in.data + head, bytes);
    }
}

/* Takes decrypted bytes until the roster is whole. */
static void gather(struct link *l)
{
    struct cg_errbuf eb = {0};
    bool ended = false;
    size_t n = 0;

    do {
        cg_err e = secure_tls_read(l->tls, l->gate->scratch, BURST_BYTES, &n, &eb);
        ended = e == CG_ECONNRESET; /* its goodbye may come together with its last bytes */
        if (e == CG_OK && n > 0) {
            e = l->in.len + n > SECURE_ROSTER_BYTES_MAX + LINE_BYTES_MAX
                    ? cg_fail(&eb, CG_EFBIG, "a roster too large")
                    : cg_str_add(&l->in, l->gate->scratch, n);
        }
        if (e != CG_OK && !ended) {
            link_fail(l, e, "%s", eb.text);
            return;
        }
    } while (n > 0);
    take_roster(l);
    if (ended && l->state == LINK_TALK && !l->talked) {
        link_fail(l, CG_ECONNRESET, "the other gate left before its roster was whole");
    }
}

void talk_input(struct link *l)
{
    if (l->state == LINK_TALK && !l->talked) {
        gather(l);
    }
    if (l->state == LINK_TALK && l->talked) {
        finish(l);
    }
}
