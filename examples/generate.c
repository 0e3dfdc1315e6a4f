/* Generates images from an export with TensorFlow's C API, without Python.

   TF=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())')
   cc examples/generate.c -I$TF/include -o generate \
       $TF/libtensorflow_cc.so.2 $TF/libtensorflow_framework.so.2 -Wl,-rpath,$TF
   python -c 'import numpy as np
z = np.random.uniform(-3**.5, 3**.5, (16, 100))
z.astype("float32").tofile("latents")'
   ./generate runs/gan-digits/export serving_default_z StatefulPartitionedCall_3:0 \
       16 100 < latents > images

   reads 16 x 100 float32 latents and writes the float32 images, one after the other, of a
   model without classes. The names of the input and the output of the signature
   serving_default are printed by
   `saved_model_cli show --all --dir runs/gan-digits/export`. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void check(TF_Status *status) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "error: %s\n", TF_Message(status));
  exit(1);
}

/* The tensor called "operation" or "operation:index" in the graph. */
static TF_Output tensor_named(TF_Graph *graph, char *name) {
  char *colon = strrchr(name, ':');
  int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, name), index};
  if (output.oper) return output;
  fprintf(stderr, "error: the graph has no operation %s\n", name);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: %s EXPORT INPUT OUTPUT N LATENT_DIM\n", argv[0]);
    return 2;
  }
  int64_t shape[] = {atoll(argv[4]), atoll(argv[5])};
  if (shape[0] < 1 || shape[1] < 1) {
    fprintf(stderr, "error: N and LATENT_DIM are whole numbers of at least 1\n");
    return 2;
  }
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph,
                                                     NULL, status);
  check(status);

  size_t count = (size_t)(shape[0] * shape[1]);
  TF_Tensor *z = TF_AllocateTensor(TF_FLOAT, shape, 2, count * sizeof(float));
  if (fread(TF_TensorData(z), sizeof(float), count, stdin) != count) {
    fprintf(stderr, "error: standard input has fewer than %zu numbers\n", count);
    return 1;
  }
  TF_Output input = tensor_named(graph, argv[2]), output = tensor_named(graph, argv[3]);
  TF_Tensor *images = NULL;
  TF_SessionRun(session, NULL, &input, &z, 1, &output, &images, 1, NULL, 0, NULL, status);
  check(status);
  size_t size = TF_TensorByteSize(images);
  if (fwrite(TF_TensorData(images), 1, size, stdout) != size || fflush(stdout)) {
    perror("error: the images cannot be written");
    return 1;
  }

  TF_DeleteTensor(images);
  TF_DeleteTensor(z);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
