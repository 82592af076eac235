/* HMAC-SHA256 of several messages at once, by Intel's multi-buffer library (intel-ipsec-mb).
 *
 * A round of SHA-256 waits for the one before it, so a message alone leaves most of the processor
 * idle. Two messages take turns in the SHA unit; sixteen go side by side through AVX-512. What a
 * message comes to does not depend on its company, and is what OpenSSL gives.
 *
 * GB/s of one core, messages of 12 KiB (build/bin/score_bench):
 *
 *   messages    1        2        8        16       64
 *               1.8      2.8      3.0      5.9      6.0
 */
#include "lanes.h"

#include <string.h>

#ifdef COGNU_IPSEC_MB

#include <intel-ipsec-mb.h>

enum {
    BLOCK_BYTES = 64,
    MANY = 16,         /* from so many messages on AVX-512 is the faster way */
    FIT_BYTES = 65000, /* the library counts in 16 bits, its own blocks among them */
};
struct lanes {
    IMB_MGR *few, *many; /* NULL: the processor has not what it takes */
    struct {
        uint8_t inner[LANES_MAC_BYTES], outer[LANES_MAC_BYTES]; /* states after the key's block */
    } key[LANES_KEYS];
};

static IMB_MGR *manager(uint64_t features, void (*init)(IMB_MGR *))
{
    IMB_MGR *m = alloc_mb_mgr(0);
    if (m && (m->features & features) == features) {
        init(m);
    }
    if (m && (!m->submit_hash_burst || imb_get_errno(m) != 0)) {
        free_mb_mgr(m);
        m = NULL;
    }
    return m;
}

static void key_state(IMB_MGR *m, const uint8_t key[KEY_BYTES], uint8_t with,
                      uint8_t out[LANES_MAC_BYTES])
{
    uint8_t block[BLOCK_BYTES];
    memset(block, with, sizeof block);
    for (int i = 0; i < KEY_BYTES; i++) {
        block[i] ^= key[i];
    }
    IMB_SHA256_ONE_BLOCK(m, block, out);
    cg_wipe(block, sizeof block);
}

struct lanes *lanes_new(const uint8_t key[LANES_KEYS][KEY_BYTES])
{
    struct lanes *l = cg_zalloc(sizeof *l);
    if (!l) {
        return NULL;
    }
    l->few = manager(IMB_CPUFLAGS_SSE_T2, init_mb_mgr_sse);
    l->many = manager(IMB_CPUFLAGS_AVX512, init_mb_mgr_avx512);
    if (!l->few && !l->many) {
        cg_free(l);
        return NULL;
    }
    for (int i = 0; i < LANES_KEYS; i++) {
        IMB_MGR *m = l->few ? l->few : l->many;
        key_state(m, key[i], 0x36, l->key[i].inner);
        key_state(m, key[i], 0x5c, l->key[i].outer);
    }
    return l;
}

void lanes_free(struct lanes *l)
{
    if (!l) {
        return;
    }
    if (l->few) {
        free_mb_mgr(l->few);
    }
    if (l->many) {
        free_mb_mgr(l->many);
    }
    cg_wipe(l, sizeof *l);
    cg_free(l);
}

bool lanes_fit(size_t bytes)
{
    return bytes > 0 && bytes <= FIT_BYTES;
}

bool lanes_hmac(struct lanes *l, int key, const struct cg_span *message, uint32_t n,
                uint8_t (*out)[LANES_MAC_BYTES])
{
    IMB_JOB job[LANES_MESSAGES_MAX];
    IMB_MGR *m = n >= MANY && l->many ? l->many : n >= 2 ? l->few : NULL;
    cg_assert(n <= LANES_MESSAGES_MAX);
    if (!m) {
        return false;
    }
    memset(job, 0, n * sizeof *job);
    for (uint32_t i = 0; i < n; i++) {
        job[i].src = message[i].data;
        job[i].msg_len_to_hash_in_bytes = message[i].len;
        job[i].auth_tag_output = out[i];
        job[i].auth_tag_output_len_in_bytes = LANES_MAC_BYTES;
        job[i].u.HMAC._hashed_auth_key_xor_ipad = l->key[key].inner;
        job[i].u.HMAC._hashed_auth_key_xor_opad = l->key[key].outer;
        job[i].hash_alg = IMB_AUTH_HMAC_SHA_256;
        job[i].cipher_mode = IMB_CIPHER_NULL;
        job[i].cipher_direction = IMB_DIR_ENCRYPT;
        job[i].chain_order = IMB_ORDER_HASH_CIPHER;
    }
    uint32_t done = IMB_SUBMIT_HASH_BURST(m, job, n, IMB_AUTH_HMAC_SHA_256);
    cg_assert(done == n);
    return true;
}

#else

struct lanes *lanes_new(const uint8_t key[LANES_KEYS][KEY_BYTES])
{
    (void)key;
    return NULL;
}

void lanes_free(struct lanes *l)
{
    (void)l;
}

bool lanes_fit(size_t bytes)
{
    (void)bytes;
    return false;
}

bool lanes_hmac(struct lanes *l, int key, const struct cg_span *message, uint32_t n,
                uint8_t (*out)[LANES_MAC_BYTES])
{
    (void)l, (void)key, (void)message, (void)n, (void)out;
    return false;
}

#endif
