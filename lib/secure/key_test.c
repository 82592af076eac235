/* Keys, signatures and the small text forms. */
#include "testkit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void key_survives_its_file(void **state)
{
    (void)state;
    struct kit_id id = kit_id();
    struct secure_key *again = NULL;
    struct cg_errbuf eb = {0};
    struct stat st;
    uint8_t pub[32];
    char path[256];

    kit_path(path, "node.key");
    assert_int_equal(secure_key_save(id.key, path, &eb), CG_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(secure_key_load(path, &again, &eb), CG_OK);
    secure_key_public(again, pub);
    assert_memory_equal(pub, id.pub, 32);
    secure_key_free(again);
    kit_id_free(&id);
}

static void key_readable_by_others_is_refused(void **state)
{
    (void)state;
    struct kit_id id = kit_id();
    struct secure_key *again = NULL;
    struct cg_errbuf eb = {0};
    char path[256], link[256];

    kit_path(path, "open.key");
    kit_path(link, "link.key");
    assert_int_equal(secure_key_save(id.key, path, &eb), CG_OK);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(secure_key_load(path, &again, &eb), CG_EPERM);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(symlink(path, link), 0);
    assert_int_not_equal(secure_key_load(link, &again, &eb), CG_OK);
    kit_id_free(&id);
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const char rsa_like[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    struct secure_key *k = NULL;
    struct cg_errbuf eb = {0};
    char path[256];

    kit_path(path, "bad.key");
    assert_int_equal(secure_key_load(path, &k, &eb), CG_ENOENT);
    assert_int_equal(secure_file_replace(path, rsa_like, sizeof(rsa_like) - 1, 0600, &eb), CG_OK);
    assert_int_equal(secure_key_load(path, &k, &eb), CG_EBADFORMAT);
    assert_null(k);
}

static void signatures_stay_in_their_domain(void **state)
{
    (void)state;
    struct kit_id id = kit_id(), other = kit_id();
    uint8_t sig[64];
    const char st[] = "a statement";

    for (enum secure_kind k = SECURE_TLS_KEY; k <= SECURE_ROSTER; k++) {
        kit_sign(&id, k, st, sizeof(st), sig);
        for (enum secure_kind v = SECURE_TLS_KEY; v <= SECURE_ROSTER; v++) {
            assert_int_equal(secure_verify(id.pub, v, st, sizeof(st), sig), k == v);
        }
        assert_false(secure_verify(other.pub, k, st, sizeof(st), sig));
        assert_false(secure_verify(id.pub, k, st, sizeof(st) - 1, sig));
        for (size_t i = 0; i < sizeof(sig); i++) {
            sig[i] ^= 1;
            assert_false(secure_verify(id.pub, k, st, sizeof(st), sig));
            sig[i] ^= 1;
        }
    }
    kit_id_free(&id);
    kit_id_free(&other);
}

/* Found by credential_fuzz: the all-zero signature fits the all-zero key. */
static void keys_of_small_order_sign_nothing(void **state)
{
    (void)state;
    uint8_t key[32] = {0}, sig[64] = {0}, st[4] = {0};

    for (int sign = 0; sign < 2; sign++) {
        for (int i = 0; i < 256; i++) { /* every fourth statement fits a point of order 4 */
            st[0] = (uint8_t)i;
            key[0] = 0;
            key[31] = sign ? 0x80 : 0;
            assert_false(secure_verify(key, SECURE_ATTACH, st, sizeof(st), sig));
            sig[0] = key[0] = 1; /* the neutral element: every statement */
            assert_false(secure_verify(key, SECURE_ATTACH, st, sizeof(st), sig));
            sig[0] = 0;
        }
    }
}

static void text_forms_are_canonical(void **state)
{
    (void)state;
    uint8_t b[2];
    char hex[5];
    uint64_t n;

    secure_hex((const uint8_t *)"\x0f\xa0", 2, hex);
    assert_string_equal(hex, "0fa0");
    assert_true(secure_unhex("0fa0", b, 2));
    assert_false(secure_unhex("0FA0", b, 2));
    assert_false(secure_unhex("0fa", b, 2));
    assert_false(secure_unhex("0fa00", b, 2));
    assert_true(secure_number("0", &n) && n == 0);
    assert_true(secure_number("1800000000", &n) && n == 1800000000);
    assert_false(secure_number("", &n) || secure_number("01", &n) || secure_number("-1", &n) ||
                 secure_number("1 ", &n) || secure_number("9999999999999999999", &n));
    assert_true(secure_name_ok("a") && secure_name_ok("ann@laptop-2.home"));
    assert_false(secure_name_ok("") || secure_name_ok("-a") || secure_name_ok("a b") ||
                 secure_name_ok("a/b") || secure_name_ok("a\nb") || secure_name_ok(".."));
}

static void principal_is_a_short_id(void **state)
{
    (void)state;
    struct kit_id a = kit_id(), b = kit_id();

    assert_int_equal(secure_principal(a.pub) >> 63, 0);
    assert_int_not_equal(secure_principal(a.pub), secure_principal(b.pub));
    kit_id_free(&a);
    kit_id_free(&b);
}

static void short_memory_is_an_error(void **state)
{
    (void)state;
    struct kit_id id = kit_id();
    struct secure_key *k = NULL;
    uint8_t sig[64];

    cg_alloc_fail_at(1);
    assert_int_equal(secure_key_new(&k), CG_ENOMEM);
    cg_alloc_fail_at(1);
    assert_int_equal(secure_sign(id.key, SECURE_ATTACH, "x", 1, sig), CG_ENOMEM);
    cg_alloc_fail_at(0);
    kit_id_free(&id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_survives_its_file),
        cmocka_unit_test(key_readable_by_others_is_refused),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(signatures_stay_in_their_domain),
        cmocka_unit_test(keys_of_small_order_sign_nothing),
        cmocka_unit_test(text_forms_are_canonical),
        cmocka_unit_test(principal_is_a_short_id),
        cmocka_unit_test(short_memory_is_an_error),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_folder_free();
    return failed;
}
