/* Factotum's keys and what it signs: every answer checked as a server would check it. */
#include "factotum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOW_S = 1800000000 };
static char folder[] = "/tmp/cognu-factotum-XXXXXX";
static struct keyring ring;
static struct cg_str answer;
static struct cg_errbuf eb;

static int setup(void **state)
{
    (void)state;
    return keyring_open(&ring, folder, "owner", &eb) == CG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    keyring_fini(&ring);
    cg_str_fini(&answer);
    return 0;
}

static cg_err ask(const char *text)
{
    answer.len = 0;
    return request_sign(&ring, text, strlen(text), NOW_S, &answer, &eb);
}

/* The key and signature of an answer; gives what follows them. */
static const char *take(uint8_t key[32], uint8_t sig[64])
{
    char *text = answer.data;

    assert_true(answer.len >= 65 + 128 + 1);
    text[64] = '\0';
    assert_true(secure_unhex(text, key, 32));
    char end = text[65 + 128];
    text[65 + 128] = '\0';
    assert_true(secure_unhex(text + 65, sig, 64));
    return end == ' ' ? text + 65 + 129 : "";
}

static const char *ones(char out[65], int bytes, char digit)
{
    memset(out, digit, (size_t)bytes * 2);
    out[bytes * 2] = '\0';
    return out;
}

static void keys_are_made_once(void **state)
{
    (void)state;
    struct keyring again;
    struct stat st;
    char path[64];

    assert_int_equal(ring.count, 2);
    snprintf(path, sizeof(path), "%s/node.key", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(keyring_open(&again, folder, "owner", &eb), CG_OK);
    assert_int_equal(again.count, 2);
    assert_memory_equal(again.keys[0].pub, ring.keys[0].pub, 32);
    assert_memory_equal(again.keys[1].pub, ring.keys[1].pub, 32);
    keyring_fini(&again);
    assert_int_equal(chmod(folder, 0750), 0);
    assert_int_equal(keyring_open(&again, folder, "owner", &eb), CG_EPERM);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void users_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(keyring_new_user(&ring, "ann", &eb), CG_OK);
    assert_int_equal(keyring_new_user(&ring, "ann", &eb), CG_EEXIST);
    assert_int_equal(keyring_new_user(&ring, "../ann", &eb), CG_EINVAL);
    assert_int_equal(keyring_new_user(&ring, "node", &eb), CG_EINVAL);
    assert_int_equal(keyring_delete(&ring, "node", &eb), CG_EPERM);
    assert_int_equal(keyring_delete(&ring, "ann", &eb), CG_OK);
    assert_int_equal(keyring_delete(&ring, "ann", &eb), CG_ENOENT);
}

static void public_text_holds_no_secret(void **state)
{
    (void)state;
    struct cg_str text = {0};
    char pem[256] = "", path[64];

    assert_int_equal(keyring_text(&ring, &text), CG_OK);
    assert_int_equal(text.len, 5 + 64 + 1 + 5 + 64 + 1 + 5 + 1);
    snprintf(path, sizeof(path), "%s/node.key", folder);
    FILE *f = fopen(path, "r");
    assert_true(fread(pem, 1, sizeof(pem) - 1, f) > 60);
    fclose(f);
    char *body = strchr(pem, '\n') + 1;
    body[32] = '\0';
    assert_null(strstr(text.data, body));
    cg_str_fini(&text);
}

static void node_signs_tls_keys(void **state)
{
    (void)state;
    char request[256], hex[65];
    uint8_t key[32], sig[64], st[SECURE_TLS_STATEMENT_BYTES];
    struct cg_buf b = cg_buf_writer(st, sizeof(st));

    snprintf(request, sizeof(request), "tls-key %s %d\n", ones(hex, 32, '1'), NOW_S + 3600);
    assert_int_equal(ask(request), CG_OK);
    take(key, sig);
    assert_memory_equal(key, ring.keys[0].pub, 32);
    for (int i = 0; i < 32; i++) {
        cg_put_u8(&b, 0x11);
    }
    cg_put_u64(&b, NOW_S + 3600);
    assert_true(secure_verify(key, SECURE_TLS_KEY, st, sizeof(st), sig));
    snprintf(request, sizeof(request), "tls-key %s %d\n", hex, NOW_S + 86400 + 31);
    assert_int_equal(ask(request), CG_EPERM);
}

static void users_sign_attaches(void **state)
{
    (void)state;
    char request[512], binding[65], server[65];
    uint8_t key[32], sig[64], credential[128], user[32];
    uint64_t expires_s;
    struct secure_attach a = {.expires_s = NOW_S + 60, .name = "ann o", .tree = ""};

    snprintf(request, sizeof(request), "attach owner %s %s %d 'ann o' ''\n", ones(binding, 32, '2'),
             ones(server, 32, '3'), NOW_S + 60);
    assert_int_equal(ask(request), CG_OK);
    take(key, sig);
    memset(a.binding, 0x22, 32);
    memset(a.server, 0x33, 32);
    memcpy(a.user, key, 32);
    size_t len = secure_attach_credential(&a, sig, credential, sizeof(credential));
    struct cg_span s = {credential, (uint32_t)len};
    assert_int_equal(secure_attach_check(s, &a, NOW_S, user, &expires_s, &eb), CG_OK);
    assert_memory_equal(user, ring.keys[1].pub, 32);
    snprintf(request, sizeof(request), "attach node %s %s %d ann ''\n", binding, server, NOW_S);
    assert_int_equal(ask(request), CG_ENOENT); /* the node acts for no user */
    snprintf(request, sizeof(request), "attach owner %s %s %d ann ''\n", binding, server,
             NOW_S + SECURE_ATTACH_SECONDS + SECURE_SKEW_SECONDS + 1);
    assert_int_equal(ask(request), CG_EPERM);
}

static cg_err ask_ticket(const char *who, const char *holder, const char *rights, const char *path,
                         const char *before)
{
    static char request[REQUEST_LINE_BYTES_MAX];
    char cell[65], id[65], node[65];

    snprintf(request, sizeof(request),
             "ticket %s %s %s %s %s grant %d %d %s hostfs root '%s' "
             "%s\n",
             who, ones(cell, 16, 'c'), ones(id, 16, 'd'), holder, rights, NOW_S, NOW_S + 100,
             ones(node, 32, 'a'), path, before);
    return ask(request);
}

static void users_issue_and_hand_on_tickets(void **state)
{
    (void)state;
    static char first[2 * SECURE_TICKET_BYTES_MAX + 1];
    uint8_t key[32], sig[64], raw[SECURE_TICKET_BYTES_MAX], cell[16];
    char holder[65], other[65];
    struct secure_ticket t;

    if (keyring_find(&ring, "bob") < 0) {
        assert_int_equal(keyring_new_user(&ring, "bob", &eb), CG_OK);
    }
    secure_hex(ring.keys[keyring_find(&ring, "bob")].pub, 32, holder);
    ones(other, 32, 'e');
    assert_int_equal(ask_ticket("owner", holder, "rw", "home/ann", ""), CG_OK);
    snprintf(first, sizeof(first), "%s", take(key, sig));
    first[strcspn(first, "\n")] = '\0';
    assert_int_equal(ask_ticket("bob", other, "r", "home/ann/mail", first), CG_OK);
    char *text = (char *)take(key, sig);
    text[strcspn(text, "\n")] = '\0';
    assert_true(secure_unhex(text, raw, strlen(text) / 2));
    assert_int_equal(secure_ticket_decode(raw, strlen(text) / 2, &t, &eb), CG_OK);
    memset(cell, 0xcc, 16);
    assert_int_equal(secure_ticket_check(&t, cell, NOW_S, NULL, NULL, &eb), CG_OK);
    assert_int_equal(t.blocks, 2);
    assert_int_equal(t.block[1].rights, NINEP_RIGHTS_READ);

    assert_int_equal(ask_ticket("bob", other, "rwx", "home/ann", first), CG_EWIDENED);
    assert_int_equal(ask_ticket("bob", other, "r", "home", first), CG_EWIDENED);
    assert_int_equal(ask_ticket("owner", other, "r", "home/ann", first), CG_EPERM);
    assert_int_equal(ask_ticket("node", other, "r", "home/ann", ""), CG_ENOENT);
    assert_int_equal(ask_ticket("owner", other, "r", "../etc", ""), CG_EBADFORMAT);
    assert_int_equal(ask_ticket("owner", other, "rr", "", ""), CG_EBADFORMAT);
    assert_int_equal(keyring_delete(&ring, "bob", &eb), CG_OK);
}

static void node_signs_rosters_that_it_is_in(void **state)
{
    (void)state;
    struct secure_roster r = {.serial = 1};
    struct secure_member m = {.name = "a", .address = "-"};
    struct cg_str text = {0};

    memset(m.key, 1, 32);
    assert_int_equal(secure_roster_add_node(&r, &m, &eb), CG_OK);
    assert_int_equal(cg_str_addf(&text, "roster\n"), CG_OK);
    assert_int_equal(secure_roster_text(&r, &text), CG_OK);
    assert_int_equal(ask(text.data), CG_EPERM);
    snprintf(m.name, sizeof(m.name), "b");
    memcpy(m.key, ring.keys[0].pub, 32);
    assert_int_equal(secure_roster_add_node(&r, &m, &eb), CG_OK);
    text.len = 0;
    assert_int_equal(cg_str_addf(&text, "roster\n"), CG_OK);
    assert_int_equal(secure_roster_text(&r, &text), CG_OK);
    assert_int_equal(ask(text.data), CG_OK);
    secure_roster_fini(&r);
    cg_str_fini(&text);
}

static void nothing_else_is_signed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "sign 00",
        "tls-key",
        "tls-key 00 1",
        "roster",
        "roster\nx\n",
        "attach owner",
        "ticket owner",
        "tls-key '",
        "attach\nx",
        "roster\n\nx ",
        "tls-key a b c d",
        " ",
    };
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        assert_int_not_equal(ask(bad[i]), CG_OK);
    }
}

static void remove_folder(void)
{
    static const char *const file[] = {"node.key", "user.owner.key", "user.ann.key",
                                       "user.bob.key"};
    char path[64];

    for (size_t i = 0; i < CG_COUNT(file); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, file[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(users_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(public_text_holds_no_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(node_signs_tls_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(users_sign_attaches, setup, teardown),
        cmocka_unit_test_setup_teardown(users_issue_and_hand_on_tickets, setup, teardown),
        cmocka_unit_test_setup_teardown(node_signs_rosters_that_it_is_in, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_else_is_signed, setup, teardown),
    };
    secure_lockdown(); /* keys then live in the locked heap, as in factotum itself */
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_folder();
    return failed;
}
