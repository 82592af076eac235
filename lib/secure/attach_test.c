/* User proofs: what they bind, and that no byte of one may change. The session proof too. */
#include "testkit.h"

#include <string.h>

static struct kit_id user;

static struct secure_attach attach_of(uint64_t expires_s)
{
    struct secure_attach a = {.expires_s = expires_s, .name = "ann", .tree = "root"};

    memset(a.binding, 7, 32);
    memset(a.server, 9, 32);
    memcpy(a.user, user.pub, 32);
    return a;
}

static size_t credential_of(const struct secure_attach *a, uint8_t *out, size_t cap)
{
    uint8_t st[SECURE_STATEMENT_BYTES_MAX], sig[64];
    size_t len = secure_attach_statement(a, st, sizeof(st));

    kit_sign(&user, SECURE_ATTACH, st, len, sig);
    return secure_attach_credential(a, sig, out, cap);
}

static cg_err check(const uint8_t *credential, size_t len, const struct secure_attach *expect)
{
    uint8_t key[32];
    uint64_t expires_s = 0;
    struct cg_span s = {credential, (uint32_t)len};
    cg_err e = secure_attach_check(s, expect, KIT_NOW_S, key, &expires_s, NULL);

    if (e == CG_OK) {
        assert_memory_equal(key, user.pub, 32);
    }
    return e;
}

static void a_true_proof_passes(void **state)
{
    (void)state;
    struct secure_attach a = attach_of(KIT_NOW_S + 60);
    uint8_t c[128];
    size_t len = credential_of(&a, c, sizeof(c));

    assert_int_equal(len, 1 + 8 + 32 + 64);
    assert_int_equal(check(c, len, &a), CG_OK);
    assert_int_equal(secure_attach_credential(&a, c, c, len - 1), 0);
}

static void every_byte_counts(void **state)
{
    (void)state;
    struct secure_attach a = attach_of(KIT_NOW_S + 60);
    uint8_t c[128];
    size_t len = credential_of(&a, c, sizeof(c));

    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            c[i] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(check(c, len, &a), CG_OK);
            c[i] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_not_equal(check(c, cut, &a), CG_OK);
    }
    assert_int_not_equal(check(c, len + 1, &a), CG_OK);
}

static void it_is_bound_to_all_that_it_names(void **state)
{
    (void)state;
    struct secure_attach a = attach_of(KIT_NOW_S + 60), x;
    uint8_t c[128];
    size_t len = credential_of(&a, c, sizeof(c));

    x = a;
    x.binding[0] ^= 1; /* another connection */
    assert_int_equal(check(c, len, &x), CG_EAUTH);
    x = a;
    x.server[31] ^= 1; /* another node */
    assert_int_equal(check(c, len, &x), CG_EAUTH);
    x = a;
    x.name[0] ^= 1;
    assert_int_equal(check(c, len, &x), CG_EAUTH);
    x = a;
    x.tree[0] ^= 1;
    assert_int_equal(check(c, len, &x), CG_EAUTH);
    x = a; /* the border between name and tree cannot be moved */
    memcpy(x.name, "annr", 5);
    memcpy(x.tree, "oot", 4);
    assert_int_equal(check(c, len, &x), CG_EAUTH);
}

static void its_time_is_bounded(void **state)
{
    (void)state;
    static const struct {
        int64_t offset_s;
        cg_err want;
    } t[] = {
        {-SECURE_SKEW_SECONDS - 1, CG_EEXPIRED},
        {-SECURE_SKEW_SECONDS, CG_OK},
        {SECURE_ATTACH_SECONDS + SECURE_SKEW_SECONDS, CG_OK},
        {SECURE_ATTACH_SECONDS + SECURE_SKEW_SECONDS + 1, CG_EAUTH},
    };
    for (size_t i = 0; i < CG_COUNT(t); i++) {
        struct secure_attach a = attach_of((uint64_t)(KIT_NOW_S + t[i].offset_s));
        uint8_t c[128];
        size_t len = credential_of(&a, c, sizeof(c));
        assert_int_equal(check(c, len, &a), t[i].want);
    }
}

static void session_proof_needs_the_first_binding(void **state)
{
    (void)state;
    uint8_t first[32] = {1}, id[16] = {2}, now[32] = {3}, a[32], b[32];
    /* HKDF-SHA-256 and HMAC-SHA-256 of these inputs, computed apart with Python's hmac module. */
    static const uint8_t known[] = {0xe0, 0x57, 0x5c, 0x03, 0x68, 0x66, 0x66, 0x70,
                                    0xf3, 0xc1, 0x18, 0xc3, 0x00, 0xd6, 0x11, 0xaf,
                                    0xe0, 0xd5, 0xe5, 0xcb, 0xe6, 0xa7, 0x16, 0x69,
                                    0x71, 0xce, 0x2a, 0x01, 0x03, 0x7c, 0x07, 0xbc};

    secure_session_proof(NULL, first, id, now, a);
    assert_memory_equal(a, known, 32);
    first[31] ^= 1;
    secure_session_proof(NULL, first, id, now, b);
    assert_memory_not_equal(a, b, 32);
    first[31] ^= 1;
    id[15] ^= 1;
    secure_session_proof(NULL, first, id, now, b);
    assert_memory_not_equal(a, b, 32);
    id[15] ^= 1;
    now[0] ^= 1;
    secure_session_proof(NULL, first, id, now, b);
    assert_memory_not_equal(a, b, 32);
}

static void between_local_processes_the_id_is_the_proof(void **state)
{
    (void)state;
    uint8_t zero[32] = {0}, id[16] = {2}, mine[32], theirs[32];

    secure_session_proof(NULL, zero, id, zero, mine);
    ninep_auth_local.proof(NULL, zero, id, zero, theirs);
    assert_memory_equal(mine, theirs, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_proof_passes),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(it_is_bound_to_all_that_it_names),
        cmocka_unit_test(its_time_is_bounded),
        cmocka_unit_test(session_proof_needs_the_first_binding),
        cmocka_unit_test(between_local_processes_the_id_is_the_proof),
    };
    user = kit_id();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_id_free(&user);
    return failed;
}
