/* Rosters: one proper form, signed by a member; changes; merges that lose nothing. */
#include "testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 8 };
static struct kit_id id[IDS];

static struct secure_roster small(void)
{
    struct secure_roster r = {.cell = {0xce, 0x11}, .serial = 5};
    struct secure_member a = kit_member(&id[0], "a", "127.0.0.1:9001");
    struct secure_member b = kit_member(&id[1], "b", "[::1]:9002");
    struct secure_member u = kit_member(&id[2], "ann", "");

    assert_int_equal(secure_roster_add_node(&r, &a, NULL), CG_OK);
    assert_int_equal(secure_roster_add_node(&r, &b, NULL), CG_OK);
    assert_int_equal(secure_roster_add_user(&r, &u, NULL), CG_OK);
    assert_int_equal(secure_roster_remove(&r, id[3].pub, NULL), CG_OK);
    assert_int_equal(secure_roster_revoke(&r, id[4].pub, KIT_NOW_S + 60, NULL), CG_OK);
    return r;
}

static void text_goes_round(void **state)
{
    (void)state;
    struct secure_roster r = small(), again;
    struct cg_str text = kit_seal(&r, &id[1]);
    struct cg_errbuf eb = {0};
    char hex[65];

    assert_int_equal(secure_roster_parse(text.data, text.len, &again, &eb), CG_OK);
    assert_true(secure_roster_same(&r, &again));
    assert_int_equal(again.serial, 5);
    assert_memory_equal(again.signer, id[1].pub, 32);
    assert_string_equal(secure_roster_node(&again, "b")->address, "[::1]:9002");
    secure_hex(id[0].pub, 32, hex);
    assert_string_equal(secure_roster_node(&again, hex)->name, "a");
    assert_null(secure_roster_node(&again, "c"));
    assert_int_equal(secure_roster_user_by_key(&again, id[2].pub)->principal,
                     secure_principal(id[2].pub));
    assert_true(secure_roster_gone(&again, id[3].pub));
    assert_true(secure_roster_revoked(&again, id[4].pub));
    secure_roster_fini(&again);
    cg_str_fini(&text);
    secure_roster_fini(&r);
}

static void every_byte_counts(void **state)
{
    (void)state;
    struct secure_roster r = small(), again;
    struct cg_str text = kit_seal(&r, &id[0]);

    for (size_t i = 0; i < text.len; i++) {
        for (int flip = 1; flip < 256; flip = flip == 1 ? 0x20 : 256) {
            text.data[i] ^= (char)flip;
            if (secure_roster_parse(text.data, text.len, &again, NULL) == CG_OK) {
                fail_msg("byte %zu may change by %x", i, flip);
            }
            text.data[i] ^= (char)flip;
        }
    }
    for (size_t cut = 0; cut < text.len; cut++) {
        assert_int_not_equal(secure_roster_parse(text.data, cut, &again, NULL), CG_OK);
    }
    cg_str_fini(&text);
    secure_roster_fini(&r);
}

static void signer_must_be_a_node(void **state)
{
    (void)state;
    struct secure_roster r = small(), again;
    const int stranger[] = {2, 3, 5}; /* a user, a removed key, nobody */

    for (size_t i = 0; i < CG_COUNT(stranger); i++) {
        struct cg_str text = kit_seal(&r, &id[stranger[i]]);
        assert_int_equal(secure_roster_parse(text.data, text.len, &again, NULL), CG_EAUTH);
        cg_str_fini(&text);
    }
    secure_roster_fini(&r);
}

static void only_the_proper_form(void **state)
{
    (void)state;
    struct secure_roster r;
    static const char *const bad[] = {
        "serial 1\ncell ce110000000000000000000000000000\n",
        "cell ce110000000000000000000000000000\nserial 01\n",
        "cell ce110000000000000000000000000000\nserial  1\n",
        "cell 'ce110000000000000000000000000000'\nserial 1\n",
        "cell ce110000000000000000000000000000\nserial 1\nserial 1\n",
        "cell ce110000000000000000000000000000\nserial 1\nhello\n",
        "cell ce110000000000000000000000000000\nserial 1\n\n",
        "cell ce110000000000000000000000000000\nserial 1",
        "",
    };
    const char good[] = "cell ce110000000000000000000000000000\nserial 1\n";

    assert_int_equal(secure_roster_parse_body(good, sizeof(good) - 1, &r, NULL), CG_OK);
    secure_roster_fini(&r);
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        assert_int_not_equal(secure_roster_parse_body(bad[i], strlen(bad[i]), &r, NULL), CG_OK);
    }
}

static void changes_keep_names_and_keys_unique(void **state)
{
    (void)state;
    struct secure_roster r = small();
    struct secure_member m = kit_member(&id[5], "a", "127.0.0.1:1");
    struct cg_errbuf eb = {0};

    assert_int_equal(secure_roster_add_node(&r, &m, &eb), CG_EEXIST);
    m = kit_member(&id[5], "ann", "");
    assert_int_equal(secure_roster_add_user(&r, &m, &eb), CG_EEXIST);
    m = kit_member(&id[0], "u", "");
    assert_int_equal(secure_roster_add_user(&r, &m, &eb), CG_EEXIST); /* a node's key */
    m = kit_member(&id[3], "d", "127.0.0.1:1");
    assert_int_equal(secure_roster_add_node(&r, &m, &eb), CG_EREVOKED);
    m = kit_member(&id[5], "d", "example.org:1");
    assert_int_equal(secure_roster_add_node(&r, &m, &eb), CG_EBADFORMAT);
    m = kit_member(&id[0], "a", "127.0.0.1:7"); /* a node moves */
    assert_int_equal(secure_roster_add_node(&r, &m, &eb), CG_OK);
    assert_int_equal(r.nodes, 2);
    assert_int_equal(secure_roster_remove(&r, id[0].pub, &eb), CG_OK);
    assert_null(secure_roster_node(&r, "a"));
    assert_int_equal(secure_roster_add_node(&r, &m, &eb), CG_EREVOKED);
    secure_roster_fini(&r);
}

static void merge_knows_what_is_newer(void **state)
{
    (void)state;
    struct secure_roster a = small(), b, out;
    struct secure_member m = kit_member(&id[5], "c", "-");

    assert_int_equal(secure_roster_copy(&a, &b), CG_OK);
    assert_int_equal(secure_roster_merge(&a, &b, KIT_NOW_S, &out, NULL), CG_OK);
    assert_true(secure_roster_same(&a, &out) && out.serial == 5);
    secure_roster_fini(&out);
    assert_int_equal(secure_roster_add_node(&b, &m, NULL), CG_OK);
    b.serial = 6;
    assert_int_equal(secure_roster_merge(&a, &b, KIT_NOW_S, &out, NULL), CG_OK);
    assert_true(secure_roster_same(&b, &out) && out.serial == 6);
    secure_roster_fini(&out);
    assert_int_equal(secure_roster_merge(&b, &a, KIT_NOW_S, &out, NULL), CG_OK);
    assert_true(secure_roster_same(&b, &out) && out.serial == 6);
    secure_roster_fini(&out);
    b.cell[0]++;
    assert_int_equal(secure_roster_merge(&a, &b, KIT_NOW_S, &out, NULL), CG_EAUTH);
    secure_roster_fini(&a);
    secure_roster_fini(&b);
}

static void merge_loses_no_change_made_apart(void **state)
{
    (void)state;
    struct secure_roster a = small(), b, ab, ba;
    struct secure_member c = kit_member(&id[5], "c", "-"), d = kit_member(&id[6], "c", "-");

    assert_int_equal(secure_roster_copy(&a, &b), CG_OK);
    a.serial = b.serial = 6; /* a admits c, b removes b, admits another c and moves a */
    assert_int_equal(secure_roster_add_node(&a, &c, NULL), CG_OK);
    assert_int_equal(secure_roster_remove(&b, id[1].pub, NULL), CG_OK);
    assert_int_equal(secure_roster_add_node(&b, &d, NULL), CG_OK);
    assert_int_equal(secure_roster_merge(&a, &b, KIT_NOW_S, &ab, NULL), CG_OK);
    assert_int_equal(secure_roster_merge(&b, &a, KIT_NOW_S, &ba, NULL), CG_OK);
    assert_true(secure_roster_same(&ab, &ba));
    assert_int_equal(ab.serial, 7);
    assert_int_equal(ba.serial, 7);
    assert_null(secure_roster_node_by_key(&ab, id[1].pub));
    const struct secure_member *mc = secure_roster_node_by_key(&ab, id[5].pub);
    const struct secure_member *md = secure_roster_node_by_key(&ab, id[6].pub);
    assert_true(mc != NULL && md != NULL && strcmp(mc->name, md->name) != 0);
    secure_roster_fini(&ab);
    secure_roster_fini(&ba);
    secure_roster_fini(&a);
    secure_roster_fini(&b);
}

static void random_change(struct secure_roster *r)
{
    struct secure_member m =
        kit_member(&id[rand() % IDS], rand() % 2 ? "x" : "y", rand() % 2 ? "1.2.3.4:5" : "-");
    uint8_t revoked[16] = {(uint8_t)(rand() % 4)};

    switch (rand() % 6) {
    case 0:
        (void)secure_roster_remove(r, m.key, NULL);
        break;
    case 1:
        (void)secure_roster_revoke(r, revoked, (uint64_t)(KIT_NOW_S + rand() % 200 - 100), NULL);
        break;
    case 2:
    case 3:
        (void)secure_roster_add_user(r, &m, NULL);
        break;
    default:
        snprintf(m.name, sizeof(m.name), "n%d", rand() % 3);
        (void)secure_roster_add_node(r, &m, NULL);
    }
    r->serial++;
}

/* Gossip between three copies that change apart ends with three equal copies. */
static void gossip_converges(void **state)
{
    (void)state;
    enum { COPIES = 3, ROUNDS = 300 };
    struct secure_roster r[COPIES];
    const char *seed_text = getenv("COGNU_SEED");
    unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 0) : 20261122u;

    print_message("replay: COGNU_SEED=%u\n", seed);
    srand(seed);
    for (int i = 0; i < COPIES; i++) {
        r[i] = small();
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct secure_roster out;
        int a = rand() % COPIES, b = rand() % COPIES;
        random_change(&r[rand() % COPIES]);
        assert_int_equal(secure_roster_merge(&r[a], &r[b], KIT_NOW_S, &out, NULL), CG_OK);
        assert_true(out.serial >= r[a].serial && out.serial >= r[b].serial);
        secure_roster_fini(&r[a]);
        r[a] = out;
    }
    for (int round = 0; round < 4 * COPIES; round++) {
        struct secure_roster out;
        int a = round % COPIES, b = (round + 1) % COPIES;
        assert_int_equal(secure_roster_merge(&r[a], &r[b], KIT_NOW_S, &out, NULL), CG_OK);
        secure_roster_fini(&r[a]);
        r[a] = out;
    }
    for (int i = 1; i < COPIES; i++) {
        assert_true(secure_roster_same(&r[0], &r[i]));
        assert_int_equal(r[0].serial, r[i].serial);
    }
    for (int i = 0; i < COPIES; i++) {
        secure_roster_fini(&r[i]);
    }
}

static void expired_revocations_go(void **state)
{
    (void)state;
    struct secure_roster a = small(), out;

    assert_int_equal(
        secure_roster_merge(&a, &a, KIT_NOW_S + 60 + 2 * SECURE_SKEW_SECONDS, &out, NULL), CG_OK);
    assert_int_equal(out.revokeds, 1);
    secure_roster_fini(&out);
    assert_int_equal(
        secure_roster_merge(&a, &a, KIT_NOW_S + 61 + 2 * SECURE_SKEW_SECONDS, &out, NULL), CG_OK);
    assert_int_equal(out.revokeds, 0);
    secure_roster_fini(&out);
    secure_roster_fini(&a);
}

static void short_memory_is_an_error(void **state)
{
    (void)state;
    struct secure_roster r = small(), again;
    struct cg_str text = kit_seal(&r, &id[0]);

    for (uint64_t n = 1; n < 1000; n++) {
        cg_alloc_fail_at(n);
        cg_err e = secure_roster_parse(text.data, text.len, &again, NULL);
        cg_alloc_fail_at(0);
        if (e == CG_OK) {
            secure_roster_fini(&again);
            break;
        }
        assert_true(n < 999);
    }
    cg_str_fini(&text);
    secure_roster_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_goes_round),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(signer_must_be_a_node),
        cmocka_unit_test(only_the_proper_form),
        cmocka_unit_test(changes_keep_names_and_keys_unique),
        cmocka_unit_test(merge_knows_what_is_newer),
        cmocka_unit_test(merge_loses_no_change_made_apart),
        cmocka_unit_test(gossip_converges),
        cmocka_unit_test(expired_revocations_go),
        cmocka_unit_test(short_memory_is_an_error),
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
