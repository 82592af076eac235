/* The common main of a synthetic file server. */
#include <cognu/secure_uv.h>
#include <cognu/synth.h>

int synth_serve_main(int argc, char **argv, const char *name, const struct synth_kind *kinds,
                     uint16_t count)
{
    struct synth *s = NULL;
    if (synth_new(kinds, count, &cg_env_real, NULL, &s)) {
        cg_log(CG_ERROR_LEVEL, "no memory to start");
        return 1;
    }
    struct ninep_server_config config = {
        .name = name, .ops = &synth_ops, .aux = s, .env = &cg_env_real};
    int status = secure_serve_main(argc, argv, &config);
    synth_free(s);
    return status;
}
