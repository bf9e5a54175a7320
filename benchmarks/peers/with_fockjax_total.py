"""fockjax truncated by the total photon number, as Piquasso is."""

import worker
from with_fockjax import Fockjax

import fockjax as fj


class FockjaxTotal(Fockjax):
    truncation = staticmethod(fj.TotalPhotons)


if __name__ == "__main__":
    worker.main(FockjaxTotal)
