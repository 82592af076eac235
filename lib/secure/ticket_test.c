/* Tickets: chains that only narrow, every byte of which counts. */
#include "testkit.h"

#include <stdio.h>
#include <string.h>

enum { IDS = SECURE_TICKET_BLOCKS_MAX + 1 };
static struct kit_id id[IDS]; /* id[0] issues, id[i+1] holds block i */
static const uint8_t cell[16] = {0xce};

static void sign_block(struct secure_ticket *t, uint32_t i)
{
    uint8_t st[SECURE_STATEMENT_BYTES_MAX];
    size_t len = secure_ticket_block_statement(t, i, st, sizeof(st));

    kit_sign(&id[i], SECURE_TICKET_BLOCK, st, len, t->sig[i]);
}

static void fill_block(struct secure_ticket *t, uint32_t i)
{
    struct secure_ticket_block *b = &t->block[i];

    memset(b, 0, sizeof(*b));
    memcpy(b->cell, cell, 16);
    b->id[0] = (uint8_t)(i + 1);
    memcpy(b->holder, id[i + 1].pub, 32);
    b->rights = 7;
    b->grant = true;
    b->not_before_s = KIT_NOW_S;
    b->expires_s = KIT_NOW_S + 1000;
    memcpy(b->service, "hostfs", 7);
    memcpy(b->tree, "root", 5);
    memcpy(b->path, "home/ann", 9);
}

static struct secure_ticket chain(uint32_t blocks)
{
    struct secure_ticket t = {.blocks = blocks};

    memcpy(t.issuer, id[0].pub, 32);
    for (uint32_t i = 0; i < blocks; i++) {
        fill_block(&t, i);
        sign_block(&t, i);
    }
    return t;
}

static cg_err check(const struct secure_ticket *t)
{
    return secure_ticket_check(t, cell, KIT_NOW_S + 10, NULL, NULL, NULL);
}

static void chains_of_every_length_pass(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= SECURE_TICKET_BLOCKS_MAX; n++) {
        struct secure_ticket t = chain(n), again;
        uint8_t bytes[SECURE_TICKET_BYTES_MAX], twice[SECURE_TICKET_BYTES_MAX];
        size_t len = secure_ticket_encode(&t, bytes, sizeof(bytes));
        assert_true(len > 0);
        assert_int_equal(secure_ticket_decode(bytes, len, &again, NULL), CG_OK);
        assert_int_equal(check(&again), CG_OK);
        assert_int_equal(secure_ticket_encode(&again, twice, sizeof(twice)), len);
        assert_memory_equal(bytes, twice, len);
    }
}

static void the_longest_ticket_fits(void **state)
{
    (void)state;
    struct secure_ticket t = chain(SECURE_TICKET_BLOCKS_MAX);
    uint8_t bytes[SECURE_TICKET_BYTES_MAX], st[SECURE_STATEMENT_BYTES_MAX];

    for (uint32_t i = 0; i < t.blocks; i++) {
        memset(t.block[i].path, 'p', sizeof(t.block[i].path) - 1);
        memset(t.block[i].tree, 't', sizeof(t.block[i].tree) - 1);
        memset(t.block[i].service, 's', sizeof(t.block[i].service) - 1);
        assert_true(secure_ticket_block_statement(&t, i, st, sizeof(st)) > 0);
    }
    assert_true(secure_ticket_encode(&t, bytes, sizeof(bytes)) > 0);
}

static void over_long_and_empty_chains_are_refused(void **state)
{
    (void)state;
    struct secure_ticket t = chain(SECURE_TICKET_BLOCKS_MAX), again;
    uint8_t bytes[SECURE_TICKET_BYTES_MAX];
    size_t len = secure_ticket_encode(&t, bytes, sizeof(bytes));

    bytes[33] = SECURE_TICKET_BLOCKS_MAX + 1;
    assert_int_equal(secure_ticket_decode(bytes, len, &again, NULL), CG_EBADFORMAT);
    bytes[33] = 0;
    assert_int_equal(secure_ticket_decode(bytes, len, &again, NULL), CG_EBADFORMAT);
    bytes[33] = SECURE_TICKET_BLOCKS_MAX;
    assert_int_equal(secure_ticket_decode(bytes, len + 1, &again, NULL), CG_EBADFORMAT);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(secure_ticket_decode(bytes, cut, &again, NULL), CG_EBADFORMAT);
    }
}

static void every_byte_counts(void **state)
{
    (void)state;
    struct secure_ticket t = chain(3), bad;
    uint8_t bytes[SECURE_TICKET_BYTES_MAX];
    size_t len = secure_ticket_encode(&t, bytes, sizeof(bytes));

    for (size_t i = 0; i < len; i++) {
        for (int flip = 1; flip < 256; flip = flip == 1 ? 0x80 : 256) {
            bytes[i] ^= (uint8_t)flip;
            if (secure_ticket_decode(bytes, len, &bad, NULL) == CG_OK && check(&bad) == CG_OK) {
                fail_msg("byte %zu may change by %x", i, flip);
            }
            bytes[i] ^= (uint8_t)flip;
        }
    }
}

static void widen(struct secure_ticket_block *b, int how)
{
    switch (how) {
    case 0:
        b->expires_s++;
        break;
    case 1:
        b->not_before_s--;
        break;
    case 2:
        memcpy(b->path, "home", 5);
        break;
    case 3:
        memcpy(b->path, "home/anne", 10);
        break;
    case 4:
        b->path[0] = '\0';
        break;
    case 5:
        memcpy(b->tree, "host", 5);
        break;
    case 6:
        b->cell[0]++;
        break;
    case 7:
        b->node[31]++;
        break;
    case 8:
        memcpy(b->service, "exec", 5);
        break;
    default:
        b->rights = 7;
    }
}

static void no_block_may_widen(void **state)
{
    (void)state;
    for (int how = 0; how <= 9; how++) {
        struct secure_ticket t = chain(2);
        t.block[0].rights = 4;
        t.block[1].rights = 4;
        sign_block(&t, 0);
        sign_block(&t, 1);
        assert_int_equal(check(&t), CG_OK);
        widen(&t.block[1], how);
        sign_block(&t, 1); /* properly signed by the holder, and still refused */
        assert_int_equal(check(&t), CG_EWIDENED);
    }
}

static void a_narrower_block_passes(void **state)
{
    (void)state;
    struct secure_ticket t = chain(2);

    memcpy(t.block[1].path, "home/ann/mail", 14);
    t.block[1].rights = 4;
    t.block[1].grant = false;
    t.block[1].expires_s -= 500;
    sign_block(&t, 1);
    assert_int_equal(check(&t), CG_OK);
}

static void without_grant_it_stays(void **state)
{
    (void)state;
    struct secure_ticket t = chain(2);

    t.block[0].grant = false;
    sign_block(&t, 0);
    sign_block(&t, 1);
    assert_int_equal(check(&t), CG_EWIDENED);
}

static void only_the_named_holder_hands_on(void **state)
{
    (void)state;
    struct secure_ticket t = chain(2);
    uint8_t st[SECURE_STATEMENT_BYTES_MAX];
    size_t len = secure_ticket_block_statement(&t, 1, st, sizeof(st));

    kit_sign(&id[3], SECURE_TICKET_BLOCK, st, len, t.sig[1]);
    assert_int_equal(check(&t), CG_EAUTH);
}

static void blocks_do_not_move(void **state)
{
    (void)state;
    struct secure_ticket t = chain(3), x = t;

    x.blocks = 2; /* the middle one taken out */
    x.block[1] = t.block[2];
    memcpy(x.sig[1], t.sig[2], 64);
    assert_int_equal(check(&x), CG_EAUTH);
    x = t; /* another first block by the same issuer under the same second */
    x.block[0].id[1] = 1;
    sign_block(&x, 0);
    assert_int_equal(check(&x), CG_EAUTH);
}

static void time_and_cell(void **state)
{
    (void)state;
    struct secure_ticket t = chain(2);
    uint8_t other[16] = {1};
    uint64_t end = t.block[0].expires_s + SECURE_SKEW_SECONDS;
    uint64_t begin = t.block[0].not_before_s - SECURE_SKEW_SECONDS;

    assert_int_equal(secure_ticket_check(&t, cell, end, NULL, NULL, NULL), CG_OK);
    assert_int_equal(secure_ticket_check(&t, cell, end + 1, NULL, NULL, NULL), CG_EEXPIRED);
    assert_int_equal(secure_ticket_check(&t, cell, begin, NULL, NULL, NULL), CG_OK);
    assert_int_equal(secure_ticket_check(&t, cell, begin - 1, NULL, NULL, NULL), CG_EEXPIRED);
    assert_int_equal(secure_ticket_check(&t, other, KIT_NOW_S, NULL, NULL, NULL), CG_EAUTH);
}

static bool is_id(void *ctx, const uint8_t revoked[16])
{
    return *(uint8_t *)ctx == revoked[0];
}

static void any_revoked_block_ends_the_chain(void **state)
{
    (void)state;
    struct secure_ticket t = chain(3);

    for (uint8_t i = 0; i <= 4; i++) {
        cg_err e = secure_ticket_check(&t, cell, KIT_NOW_S, is_id, &i, NULL);
        assert_int_equal(e, i >= 1 && i <= 3 ? CG_EREVOKED : CG_OK);
    }
}

static void malformed_fields_are_refused(void **state)
{
    (void)state;
    static const char *const path[] = {"/etc", "a//b", "a/", "..", "a/../b", "./a", "/"};
    struct secure_ticket t = chain(1), again;
    uint8_t bytes[SECURE_TICKET_BYTES_MAX];

    for (size_t i = 0; i < CG_COUNT(path); i++) {
        snprintf(t.block[0].path, sizeof(t.block[0].path), "%s", path[i]);
        size_t len = secure_ticket_encode(&t, bytes, sizeof(bytes));
        assert_int_equal(secure_ticket_decode(bytes, len, &again, NULL), CG_EBADFORMAT);
    }
    t = chain(1);
    t.block[0].rights = 0;
    size_t len = secure_ticket_encode(&t, bytes, sizeof(bytes));
    assert_int_equal(secure_ticket_decode(bytes, len, &again, NULL), CG_EBADFORMAT);
}

static void holder_proof(void **state)
{
    (void)state;
    struct secure_ticket t = chain(2), got;
    struct secure_attach a = {.expires_s = KIT_NOW_S + 60, .name = "x", .tree = "root"};
    uint8_t st[SECURE_STATEMENT_BYTES_MAX], sig[64], c[SECURE_CREDENTIAL_BYTES_MAX];
    uint64_t expires_s = 0;

    memcpy(a.user, id[2].pub, 32);
    size_t st_len = secure_attach_statement(&a, st, sizeof(st));
    kit_sign(&id[2], SECURE_ATTACH, st, st_len, sig);
    size_t len = secure_ticket_credential(&t, a.expires_s, sig, c, sizeof(c));
    struct cg_span s = {c, (uint32_t)len};
    assert_int_equal(secure_ticket_proof_check(s, &a, KIT_NOW_S, &got, &expires_s, NULL), CG_OK);
    assert_int_equal(expires_s, a.expires_s);
    a.binding[0] ^= 1;
    assert_int_equal(secure_ticket_proof_check(s, &a, KIT_NOW_S, &got, &expires_s, NULL), CG_EAUTH);
    a.binding[0] ^= 1;
    t.blocks = 1; /* the last block taken off: then the first holder must prove */
    s.len = (uint32_t)secure_ticket_credential(&t, a.expires_s, sig, c, sizeof(c));
    assert_int_equal(secure_ticket_proof_check(s, &a, KIT_NOW_S, &got, &expires_s, NULL), CG_EAUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_of_every_length_pass),
        cmocka_unit_test(the_longest_ticket_fits),
        cmocka_unit_test(over_long_and_empty_chains_are_refused),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(no_block_may_widen),
        cmocka_unit_test(a_narrower_block_passes),
        cmocka_unit_test(without_grant_it_stays),
        cmocka_unit_test(only_the_named_holder_hands_on),
        cmocka_unit_test(blocks_do_not_move),
        cmocka_unit_test(time_and_cell),
        cmocka_unit_test(any_revoked_block_ends_the_chain),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(holder_proof),
    };
    for (int i = 0; i < IDS; i++) {
        id[i] = kit_id();
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < IDS; i++) {
        kit_id_free(&id[i]);
    }
    return failed;
}
