#include "testkit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t kit_now_s = KIT_NOW_S;
static char folder[200];

static uint64_t kit_wall(void *ctx)
{
    (void)ctx;
    return kit_now_s * 1000000000u;
}

static uint64_t kit_mono(void *ctx)
{
    (void)ctx;
    return cg_env_real.now_ns(cg_env_real.ctx);
}

static void kit_random(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    cg_env_real.random(cg_env_real.ctx, out, bytes);
}

const struct cg_env kit_env = {kit_mono, kit_wall, kit_random, NULL};

struct kit_id kit_id(void)
{
    struct kit_id id = {0};

    assert_int_equal(secure_key_new(&id.key), CG_OK);
    secure_key_public(id.key, id.pub);
    return id;
}

void kit_id_free(struct kit_id *id)
{
    secure_key_free(id->key);
    id->key = NULL;
}

void kit_sign(const struct kit_id *id, enum secure_kind kind, const void *st, size_t len,
              uint8_t sig[64])
{
    assert_true(len > 0);
    assert_int_equal(secure_sign(id->key, kind, st, len, sig), CG_OK);
}

const char *kit_folder(void)
{
    const char *tmp = getenv("TMPDIR");

    if (folder[0] == '\0') {
        snprintf(folder, sizeof(folder), "%s/cognu-secure-XXXXXX", tmp ? tmp : "/tmp");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

void kit_path(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", kit_folder(), name);
}

void kit_folder_free(void)
{
    char path[256];
    struct dirent *d;
    DIR *dir = folder[0] ? opendir(folder) : NULL;

    while (dir != NULL && (d = readdir(dir)) != NULL) {
        if (d->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%.190s/%.60s", folder, d->d_name);
            unlink(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
        rmdir(folder);
    }
    folder[0] = '\0';
}

struct secure_member kit_member(const struct kit_id *id, const char *name, const char *address)
{
    struct secure_member m = {0};

    memcpy(m.key, id->pub, 32);
    snprintf(m.name, sizeof(m.name), "%s", name);
    snprintf(m.address, sizeof(m.address), "%s", address);
    return m;
}

struct cg_str kit_seal(const struct secure_roster *r, const struct kit_id *id)
{
    struct cg_str text = {0};
    uint8_t sig[64];

    assert_int_equal(secure_roster_text(r, &text), CG_OK);
    kit_sign(id, SECURE_ROSTER, text.data, text.len, sig);
    assert_int_equal(secure_roster_seal(&text, id->pub, sig), CG_OK);
    return text;
}
