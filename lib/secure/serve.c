/* serve: the main of a file server that other nodes may reach: ninep_serve_main, with users known
 * by their proofs and tickets. */
#include <cognu/secure_uv.h>

int secure_serve_main(int argc, char **argv, struct ninep_server_config *config)
{
    struct secure_auth_config who = {.service = config->name, .env = config->env};
    struct ninep_auth *auth = NULL;
    if (secure_auth_new(&who, &auth) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "no memory to start");
        return 1;
    }
    config->auth = auth;
    int status = ninep_serve_main(argc, argv, config);
    secure_auth_free(auth);
    return status;
}
