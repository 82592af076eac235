/* The judge of attaches, over a roster file that changes under it. */
#include "testkit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct kit_id server, client, ann, stranger, holder;
static struct secure_roster roster;
static char path[256];
static struct ninep_auth *auth;

static void write_roster(void)
{
    struct cg_str text = kit_seal(&roster, &server);
    struct cg_errbuf eb = {0};

    assert_int_equal(secure_file_replace(path, text.data, text.len, 0600, &eb), CG_OK);
    cg_str_fini(&text);
}

static int setup(void **state)
{
    (void)state;
    const struct secure_auth_config config = {.service = "hostfs", .roster = path, .env = &kit_env};
    struct secure_member m;

    kit_path(path, "roster");
    memset(&roster, 0, sizeof(roster));
    m = kit_member(&server, "srv", "127.0.0.1:1");
    assert_int_equal(secure_roster_add_node(&roster, &m, NULL), CG_OK);
    m = kit_member(&client, "cli", "-");
    assert_int_equal(secure_roster_add_node(&roster, &m, NULL), CG_OK);
    m = kit_member(&ann, "ann", "");
    assert_int_equal(secure_roster_add_user(&roster, &m, NULL), CG_OK);
    write_roster();
    return secure_auth_new(&config, &auth) == CG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    secure_auth_free(auth);
    secure_roster_fini(&roster);
    return 0;
}

static struct ninep_peer remote(void)
{
    struct ninep_peer p = {.local = false};

    memcpy(p.node_key, client.pub, 32);
    memset(p.binding, 0xb1, 32);
    return p;
}

static struct secure_attach statement_of(const struct kit_id *user, const char *tree)
{
    struct secure_attach a = {.expires_s = kit_now_s + 60, .name = "ann"};

    memset(a.binding, 0xb1, 32);
    memcpy(a.server, server.pub, 32);
    memcpy(a.user, user->pub, 32);
    snprintf(a.tree, sizeof(a.tree), "%s", tree);
    return a;
}

static cg_err try_attach(const struct ninep_peer *p, const void *c, size_t len,
                         struct ninep_grant *g)
{
    struct cg_errbuf eb = {0};
    struct cg_span credential = {c, (uint32_t)len};

    cg_err e =
        auth->attach(auth->ctx, p, cg_span_of("ann"), cg_span_of("root"), credential, g, &eb);
    assert_true(e == CG_OK || eb.text[0] != '\0');
    return e;
}

static size_t proof(const struct kit_id *user, uint8_t *c, size_t cap)
{
    struct secure_attach a = statement_of(user, "root");
    uint8_t st[SECURE_STATEMENT_BYTES_MAX], sig[64];

    kit_sign(user, SECURE_ATTACH, st, secure_attach_statement(&a, st, sizeof(st)), sig);
    return secure_attach_credential(&a, sig, c, cap);
}

static const char *service = "hostfs";
static bool elsewhere; /* the ticket is for another node */

static size_t ticket(const struct kit_id *issuer, const char *tree, uint8_t *c, size_t cap)
{
    struct secure_ticket t = {.blocks = 1};
    struct secure_attach a = statement_of(&holder, "root");
    struct secure_ticket_block *b = &t.block[0];
    uint8_t st[SECURE_STATEMENT_BYTES_MAX], sig[64];

    memcpy(t.issuer, issuer->pub, 32);
    b->id[0] = 0x77;
    memcpy(b->holder, holder.pub, 32);
    b->rights = 4;
    b->expires_s = kit_now_s + 40;
    memcpy(b->node, elsewhere ? client.pub : server.pub, 32);
    snprintf(b->service, sizeof(b->service), "%s", service);
    snprintf(b->tree, sizeof(b->tree), "%s", tree);
    snprintf(b->path, sizeof(b->path), "home/ann");
    kit_sign(issuer, SECURE_TICKET_BLOCK, st, secure_ticket_block_statement(&t, 0, st, sizeof(st)),
             t.sig[0]);
    kit_sign(&holder, SECURE_ATTACH, st, secure_attach_statement(&a, st, sizeof(st)), sig);
    return secure_ticket_credential(&t, a.expires_s, sig, c, cap);
}

static void local_peers_are_their_uid(void **state)
{
    (void)state;
    struct ninep_peer p = {.local = true, .uid = 1000};
    struct ninep_grant g;

    assert_int_equal(try_attach(&p, "", 0, &g), CG_OK);
    assert_int_equal(g.principal, 1ull << 63 | 1000);
    assert_int_equal(g.rights, 7);
    assert_int_equal(try_attach(&p, "\x01whatever", 9, &g), CG_OK); /* the uid counts */
    assert_int_equal(try_attach(&p, "\x02", 1, &g), CG_EOPNOTSUPP); /* not more than the ticket */
    assert_int_equal(g.rights, 0);
}

static void users_of_the_roster_attach(void **state)
{
    (void)state;
    struct ninep_peer p = remote();
    struct ninep_grant g;
    uint8_t c[256];
    size_t len = proof(&ann, c, sizeof(c));

    assert_int_equal(try_attach(&p, c, len, &g), CG_OK);
    assert_int_equal(g.principal, secure_principal(ann.pub));
    assert_int_equal(g.rights, 7);
    assert_int_equal(g.expires_ns, (kit_now_s + 60) * 1000000000u);
    assert_int_equal(try_attach(&p, "", 0, &g), CG_EAUTH);
    p.binding[0] ^= 1; /* the same bytes on another connection */
    assert_int_equal(try_attach(&p, c, len, &g), CG_EAUTH);
    assert_int_equal(g.rights, 0);
    p = remote();
    len = proof(&stranger, c, sizeof(c));
    assert_int_equal(try_attach(&p, c, len, &g), CG_EAUTH);
}

static void unknown_nodes_do_not(void **state)
{
    (void)state;
    struct ninep_peer p = remote();
    struct ninep_grant g;
    uint8_t c[256];
    size_t len = proof(&ann, c, sizeof(c));

    memcpy(p.node_key, stranger.pub, 32);
    assert_int_equal(try_attach(&p, c, len, &g), CG_EUNPAIRED);
}

static void tickets_narrow(void **state)
{
    (void)state;
    struct ninep_peer p = remote();
    struct ninep_grant g;
    uint8_t c[2048];
    size_t len = ticket(&ann, "root", c, sizeof(c));

    assert_int_equal(try_attach(&p, c, len, &g), CG_OK);
    assert_int_equal(g.principal, secure_principal(ann.pub));
    assert_int_equal(g.rights, 4);
    assert_string_equal(g.path, "home/ann");
    assert_int_equal(g.expires_ns, (kit_now_s + 40) * 1000000000u);
    for (size_t i = 0; i < len; i++) {
        c[i] ^= 1;
        assert_int_not_equal(try_attach(&p, c, len, &g), CG_OK);
        c[i] ^= 1;
    }
    len = ticket(&ann, "host", c, sizeof(c));
    assert_int_equal(try_attach(&p, c, len, &g), CG_EWIDENED);
    service = "exec";
    len = ticket(&ann, "root", c, sizeof(c));
    assert_int_equal(try_attach(&p, c, len, &g), CG_EWIDENED);
    service = "hostfs";
    elsewhere = true;
    len = ticket(&ann, "root", c, sizeof(c));
    assert_int_equal(try_attach(&p, c, len, &g), CG_EWIDENED);
    elsewhere = false;
    len = ticket(&stranger, "root", c, sizeof(c));
    assert_int_equal(try_attach(&p, c, len, &g), CG_EAUTH);
}

static void the_roster_is_read_again(void **state)
{
    (void)state;
    struct ninep_peer p = remote();
    struct ninep_grant g;
    uint8_t c[256], k[2048], revoked[16] = {0x77};
    size_t len = proof(&ann, c, sizeof(c)), k_len = ticket(&ann, "root", k, sizeof(k));

    assert_int_equal(try_attach(&p, k, k_len, &g), CG_OK);
    assert_int_equal(secure_roster_revoke(&roster, revoked, kit_now_s + 60, NULL), CG_OK);
    write_roster();
    assert_int_equal(try_attach(&p, k, k_len, &g), CG_EREVOKED);
    assert_int_equal(try_attach(&p, c, len, &g), CG_OK);
    assert_int_equal(secure_roster_remove(&roster, ann.pub, NULL), CG_OK);
    write_roster();
    assert_int_equal(try_attach(&p, c, len, &g), CG_EAUTH);
    assert_int_equal(secure_roster_remove(&roster, client.pub, NULL), CG_OK);
    write_roster();
    assert_int_equal(try_attach(&p, c, len, &g), CG_EUNPAIRED);
    assert_int_equal(secure_file_replace(path, "garbage\n", 8, 0600, NULL), CG_OK);
    assert_int_equal(try_attach(&p, c, len, &g), CG_EBADFORMAT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_attach(&p, c, len, &g), CG_EUNPAIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(local_peers_are_their_uid, setup, teardown),
        cmocka_unit_test_setup_teardown(users_of_the_roster_attach, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_nodes_do_not, setup, teardown),
        cmocka_unit_test_setup_teardown(tickets_narrow, setup, teardown),
        cmocka_unit_test_setup_teardown(the_roster_is_read_again, setup, teardown),
    };
    struct kit_id *const all[] = {&server, &client, &ann, &stranger, &holder};

    cg_log_init("secure_auth_test");
    for (size_t i = 0; i < CG_COUNT(all); i++) {
        *all[i] = kit_id();
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < CG_COUNT(all); i++) {
        kit_id_free(all[i]);
    }
    kit_folder_free();
    return failed;
}
