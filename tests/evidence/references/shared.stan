// als_shared: one ratio on each patient's own rate of loss and on the hazard of death.
data {
  int<lower=1> n;
  int<lower=1> n_rows;
  int<lower=1> subject[n_rows];
  vector[n_rows] month;
  vector[n_rows] score;
  int<lower=0, upper=1> treated[n];
  vector<lower=0>[n] time;        // of death, or until which the patient is known to be alive
  int<lower=0, upper=1> died[n];
}
parameters {
  real mean_level;
  real<lower=0> sd_level;
  real mean_rate;
  vector<lower=0>[2] sd_rate;     // control, treated
  real<lower=0> rate_ratio;
  real<lower=0> sd_residual;
  real<lower=0> hazard;
  vector[n] level;
  vector[n] rate;
}
model {
  mean_level ~ normal(38, 10);
  sd_level ~ normal(0, 8);
  mean_rate ~ normal(1, 1);
  sd_rate ~ normal(0, 1);
  rate_ratio ~ lognormal(0, 0.5);
  sd_residual ~ lognormal(0.6, 0.5);
  hazard ~ lognormal(-4.6, 1);
  level ~ normal(mean_level, sd_level);
  for (i in 1:n) {
    real own = hazard * (treated[i] ? rate_ratio : 1);
    rate[i] ~ normal(mean_rate, sd_rate[treated[i] ? 2 : 1]);
    if (died[i]) time[i] ~ exponential(own);
    else target += -own * time[i];
  }
  for (r in 1:n_rows) {
    int i = subject[r];
    score[r] ~ normal(level[i] - rate[i] * (treated[i] ? rate_ratio : 1) * month[r], sd_residual);
  }
}
