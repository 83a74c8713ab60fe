// Every layer kind, with Keras's conventions and defaults.
#pragma once

#include <perch/layers/activations.h>
#include <perch/layers/batch_norm.h>
#include <perch/layers/conv.h>
#include <perch/layers/dense.h>
#include <perch/layers/dropout.h>
#include <perch/layers/flatten.h>
#include <perch/layers/merge.h>
#include <perch/layers/model.h>
#include <perch/layers/pooling.h>
