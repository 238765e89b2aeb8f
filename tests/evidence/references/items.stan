// als_items: twelve answers of 0 to 4 to one latent function, whose line is each patient's own.
data {
  int<lower=1> n;
  int<lower=1> n_rows;
  int<lower=1> n_items;
  int<lower=1> subject[n_rows];
  vector[n_rows] month;
  int<lower=0, upper=4> answer[n_rows, n_items];
  vector[n] treated;
}
parameters {
  vector[n_items] third_cutpoint;
  vector<lower=0>[n_items] first_gap;
  vector<lower=0>[n_items] second_gap;
  vector<lower=0>[n_items] third_gap;
  real<lower=0> sd_level;
  real mean_slope;
  real slope_effect;
  real<lower=0> sd_slope;
  real<lower=-1, upper=1> correlation;
  vector[n] level;
  vector[n] slope;
}
model {
  third_cutpoint ~ normal(-1, 2);
  first_gap ~ lognormal(0, 0.7);
  second_gap ~ lognormal(0, 0.7);
  third_gap ~ lognormal(0, 0.7);
  sd_level ~ normal(0, 1.5);
  mean_slope ~ normal(-0.15, 0.2);
  slope_effect ~ normal(0, 0.12);
  sd_slope ~ normal(0, 0.2);
  level ~ normal(0, sd_level);
  slope ~ normal(mean_slope + slope_effect * treated + correlation * sd_slope / sd_level * level, sd_slope * sqrt(1 - square(correlation)));
  for (k in 1:n_items) {
    vector[4] steps;
    steps[2] = third_cutpoint[k] - second_gap[k];
    steps[1] = steps[2] - first_gap[k];
    steps[3] = third_cutpoint[k];
    steps[4] = steps[3] + third_gap[k];
    for (r in 1:n_rows) answer[r, k] + 1 ~ ordered_logistic(level[subject[r]] + slope[subject[r]] * month[r], steps);
  }
}
